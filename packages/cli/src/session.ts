import type { Exit } from "./cli-error.ts";
import type { Api } from "./client/api.ts";
import type { Printer } from "./output/printer.ts";
import type { World } from "./world.ts";

/** What a command works with. */
export interface Session {
  readonly world: World;
  readonly api: Api;
  readonly show: Printer;
}

/** Runs the work of a command; its answer is the exit code of the program. */
export type Start = (work: (session: Session) => Promise<Exit>) => Promise<void>;
