import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WatchedProcess {
  readonly pid: number;
  /** Everything it has written so far, stdout and stderr as they came. */
  output(): string;
  /** Resolves with the first line written, before or after the call, that matches. Rejects when the process ends first. */
  line(pattern: RegExp): Promise<string>;
  /** Sends a signal (SIGTERM) and resolves when the process has ended. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
  /** Resolves when it has ended. */
  readonly exited: Promise<Exit>;
  /** SIGSTOP: it exists but does nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

export interface WatchOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Folders that are removed with the process, even when this one is killed. */
  readonly remove?: readonly string[];
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Keeps at most this much output per process. */
const maxOutput = 4_194_304;

/** Starts a program that can't outlive this one, and listens to what it says. */
export function watchProcess(command: string, args: readonly string[], options: WatchOptions = {}): WatchedProcess {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: options.env, cwd: options.cwd });
  running.add(child);
  const { pid } = child;
  const guard = pid === undefined ? undefined : spawnGuard(pid, options.remove ?? []);
  let output = "";
  let partial = "";
  const lines: string[] = [];
  const waiting = new Set<{ readonly pattern: RegExp; resolve(line: string): void; reject(why: Error): void }>();

  const take = (chunk: string): void => {
    output = (output + chunk).slice(-maxOutput);
    const parts = (partial + chunk).split("\n");
    partial = parts.pop() ?? "";
    for (const line of parts) {
      lines.push(line);
      for (const one of [...waiting]) {
        if (!one.pattern.test(line)) continue;
        waiting.delete(one);
        one.resolve(line);
      }
    }
    if (lines.length > 20_000) lines.splice(0, 10_000);
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", take);

  const exited = new Promise<Exit>((resolve) => {
    let failure: Error | undefined;
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (!running.delete(child)) return;
      guard?.kill("SIGKILL");
      const why = failure?.message ?? `${command} ended with ${signal ?? code}`;
      for (const one of waiting) one.reject(new Error(`${why} before it said ${one.pattern}:\n${output.slice(-4_000)}`));
      waiting.clear();
      resolve({ code, signal });
    };
    child.once("error", (error) => {
      failure = error;
      end(null, null);
    });
    child.once("close", end);
  });

  return {
    pid: pid ?? -1,
    exited,
    output: () => output,
    line(pattern) {
      const found = lines.find((line) => pattern.test(line));
      if (found !== undefined) return Promise.resolve(found);
      if (!running.has(child))
        return Promise.reject(new Error(`${command} has ended and never said ${pattern}:\n${output.slice(-4_000)}`));
      return new Promise((resolve, reject) => waiting.add({ pattern, resolve, reject }));
    },
    kill(signal = "SIGTERM") {
      child.kill(signal);
      // A frozen process takes no other signal than SIGKILL until it goes on.
      if (signal !== "SIGKILL") child.kill("SIGCONT");
      return exited;
    },
    freeze() {
      child.kill("SIGSTOP");
      if (pid !== undefined) untilStopped(pid);
    },
    thaw: () => void child.kill("SIGCONT"),
  };
}

const stopMs = 1_000;

/** SIGSTOP takes effect a moment later, thread by thread; whoever freezes a process relies on none of them answering any more. */
function untilStopped(pid: number): void {
  const giveUpAt = performance.now() + stopMs;
  while (performance.now() < giveUpAt) {
    const states = threadStates(pid);
    if (states === undefined || states.every((state) => state === "T" || state === "t" || state === "Z")) return;
  }
}

/** The state letter of each thread; undefined where the system does not tell. */
function threadStates(pid: number): readonly string[] | undefined {
  const tasks = `/proc/${pid}/task`;
  try {
    // The name in the second field may hold anything, brackets too: the state comes behind the last one.
    return readdirSync(tasks).map((id) => /.*\) (\S)/s.exec(readFileSync(`${tasks}/${id}/stat`, "utf8"))?.[1] ?? "");
  } catch {
    return undefined;
  }
}

/** A shell that waits for this process to go away, however it goes, and then ends `pid`. */
function spawnGuard(pid: number, remove: readonly string[]): ChildProcess {
  const script = 'cat >/dev/null; pid=$1; shift; kill -9 "$pid" 2>/dev/null; [ $# -eq 0 ] || rm -rf -- "$@"';
  const guard = spawn("sh", ["-c", script, "guard", String(pid), ...remove], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.on("error", () => {});
  guard.stdin.on("error", () => {});
  guard.unref();
  return guard;
}
