import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Exit, type NodeProcess, spawnNode } from "@longhaul/testkit";

export type ServiceName = "gateway" | "scheduler" | "executor" | "notifier" | "solo";

/** One service as a process of its own, which can be killed and started again with the same environment. */
export interface Service {
  readonly name: string;
  readonly port: number;
  /** Resolves once it serves; after a kill, once it serves again. */
  up(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with how it ended. */
  quit(): Promise<Exit>;
  /** Starts it again, in another environment where one is given, and resolves when it serves; kills it first when it runs. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  freeze(): void;
  thaw(): void;
  pid(): number;
  /** What it has said in its present life. */
  output(): string;
  /** Resolves with the first line of its present life that matches. */
  line(pattern: RegExp): Promise<string>;
  readonly exited: () => Promise<Exit>;
}

const ready: Readonly<Record<ServiceName, RegExp>> = {
  gateway: /gateway listens/,
  scheduler: /scheduler listens/,
  executor: /executor takes tickets/,
  notifier: /notifier listens/,
  solo: /Longhaul listens on/,
};

/** The program of a service as it is shipped. Throws a sentence when it is not built. */
export function entryOf(kind: ServiceName): string {
  const entry = fileURLToPath(new URL(`../../services/${kind}/dist/main.js`, import.meta.url));
  if (!existsSync(entry)) throw new Error(`services/${kind} is not built: run \`npm run build\` first (\`npm test\` does)`);
  return entry;
}

export interface ServiceOptions {
  readonly kind: ServiceName;
  readonly name?: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
}

export function startService({ kind, name = kind, port, env, nodeArgs = [] }: ServiceOptions): Service {
  let alive = false;
  let process: NodeProcess;
  let serving: Promise<void>;
  const launch = (more: Readonly<Record<string, string>> = {}): void => {
    process = spawnNode(entryOf(kind), { PORT: String(port), HOST: "127.0.0.1", ...env, ...more }, { nodeArgs });
    alive = true;
    const own = process;
    serving = own.ready(ready[kind]).then(() => {});
    // Looked at by whoever waits for it.
    serving.catch(() => {});
    void own.exited.then(() => {
      if (process === own) alive = false;
    });
  };
  launch();
  return {
    name,
    port,
    up: () => serving,
    async kill() {
      await process.kill("SIGKILL");
    },
    quit: () => process.kill("SIGTERM"),
    async restart(more) {
      if (alive) await process.kill("SIGKILL");
      launch(more);
      await serving;
    },
    freeze: () => process.freeze(),
    thaw: () => process.thaw(),
    pid: () => process.pid,
    output: () => process.output(),
    line: (pattern) => process.line(pattern),
    exited: () => process.exited,
  };
}
