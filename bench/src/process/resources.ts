import { readdirSync, readFileSync } from "node:fs";

/** What a process has used so far; undefined where the system does not tell (anything but Linux). */
export interface Resources {
  /** User and system time, in milliseconds. */
  readonly cpuMs: number;
  /** Most memory that was resident at any time. */
  readonly peakBytes: number;
  /** Memory that is resident now. */
  readonly residentBytes: number;
}

/** Clock ticks per second in /proc; 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

export function readResources(pid: number): Resources | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets and may hold anything, so fields are counted behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const bytesOf = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1_024;
    return { cpuMs: (ticks * 1_000) / ticksPerSecond, peakBytes: bytesOf("VmHWM"), residentBytes: bytesOf("VmRSS") };
  } catch {
    return undefined;
  }
}

/** The process that was started with `--port <port>`, such as a server that the testkit started. */
export function pidWithPort(port: number): number | undefined {
  try {
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const args = commandLine(name);
      if (args[args.indexOf("--port") + 1] === String(port) && args.includes("--port")) return Number(name);
    }
  } catch {
    // No /proc: not told.
  }
  return undefined;
}

function commandLine(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}
