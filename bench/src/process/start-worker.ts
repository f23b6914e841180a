import { fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Answer, Calls, Question } from "./worker.ts";

export interface Worker<C extends Calls> {
  readonly pid: number;
  /** Rejects with what the worker's handler threw, or when it ends first. */
  call<K extends keyof C & string>(name: K, ask: C[K]["ask"]): Promise<C[K]["answer"]>;
  /** Ends it and resolves when it has gone. */
  stop(): Promise<void>;
}

/** Node's flags that write a CPU profile named `name` when the process ends. */
export function profileFlags(dir: string | undefined, name: string): readonly string[] {
  return dir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${dir}`, `--cpu-prof-name=${name}.cpuprofile`];
}

const isSource = import.meta.url.endsWith(".ts");

/** Path of a program in the folder `src` of a workspace, as compiled, or as source when this very file runs from source. */
export function programOf(workspace: string, name: string): string {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  return isSource ? join(root, workspace, "src", `${name}.ts`) : join(root, workspace, "dist", `${name}.js`);
}

/** Starts a program of this folder that calls `serveWorker`; `name` is its path below `src`, without extension. */
export function startWorker<C extends Calls>(name: string, profileDir?: string, profileName = name): Worker<C> {
  const fromSource = isSource ? ["--conditions=@longhaul/source", "--import", import.meta.resolve("tsx")] : [];
  const child = fork(programOf("bench", name), [], {
    execArgv: [...fromSource, ...profileFlags(profileDir, profileName.replaceAll("/", "-"))],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const open = new Map<number, { resolve(value: unknown): void; reject(why: Error): void }>();
  let last = 0;
  child.on("message", (answer: Answer) => {
    const asked = open.get(answer.number);
    open.delete(answer.number);
    if (answer.fault === undefined) asked?.resolve(answer.answer);
    else asked?.reject(new Error(answer.fault));
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      for (const one of open.values()) one.reject(new Error(`${name} ended with ${signal ?? code}`));
      open.clear();
      resolve();
    });
  });
  const send = (question: Question): void => void child.send(question);

  return {
    pid: child.pid ?? -1,
    call: (kind, ask) =>
      new Promise((resolve, reject) => {
        const number = ++last;
        // Both ends are compiled from one description of the calls.
        open.set(number, { resolve: resolve as (value: unknown) => void, reject });
        send({ number, name: kind, ask });
      }),
    stop() {
      if (child.connected) send({ number: 0, name: "stop", ask: undefined });
      return exited;
    },
  };
}
