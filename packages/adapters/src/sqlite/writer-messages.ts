import type { WriteCall } from "./commit-group.ts";
import type { Procedures } from "./procedures.ts";

/** What the writer's worker is told: a group to commit, or to end. Groups are committed in the order in which they come. */
export type WriterMessage = readonly WriteCall<Procedures>[] | "close";

/** What became of each write of a group, in their order; errors as what survives the way between threads. */
export type WriterAnswer = readonly (
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly code: string }
)[];
