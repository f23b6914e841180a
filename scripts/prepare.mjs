// What `npm start` and `npm test` have in common: dependencies and build, made when they are missing or stale. Node's own modules only.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Says in one line what is being done; on stderr, so that stdout belongs to the program. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Installs and builds what is missing or stale. `filter` limits the build to one package and what it needs. Throws an Error with one sentence. */
export async function prepare({ filter } = {}) {
  checkNode();
  await locked(join(root, ".cache", "prepare.lock"), async () => {
    if (!isInstalled(root)) {
      say("installing dependencies (npm install)");
      // Not `npm ci`: it refuses a lockfile that lacks optional packages of other platforms, as one made where not all of them are to be
      // had does. What the lockfile names is installed in just that version, and the lockfile stays as it is.
      await run(
        "npm",
        ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"],
        "npm install failed; the lines above say why",
      );
    }
    say("building what is stale");
    const turbo = join(root, "node_modules", ".bin", "turbo");
    const args = ["run", "build", "--output-logs=errors-only", "--log-prefix=none", ...(filter ? [`--filter=${filter}...`] : [])];
    await run(turbo, args, "the build failed; the lines above say why");
  });
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Error(`Longhaul needs Node 20.19 or newer, this is ${process.versions.node}`);
}

/** Whether node_modules holds what package-lock.json asks for: npm notes what it has installed at the very end of every install. */
export function isInstalled(dir) {
  const noted = join(dir, "node_modules", ".package-lock.json");
  if (!existsSync(noted)) return false;
  const wanted = JSON.parse(readFileSync(join(dir, "package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(readFileSync(noted, "utf8")).packages;
  return Object.entries(wanted).every(([path, one]) => {
    const has = installed[path];
    // Packages for other platforms are left out, and workspaces are noted as links only.
    if (!path.includes("node_modules/") || (one.optional && !has)) return true;
    return (
      has !== undefined &&
      (one.link ? existsSync(join(dir, path)) : has.version === one.version && has.integrity === one.integrity)
    );
  });
}

/** Runs a program to its end, quietly unless it fails. */
function run(command, args, sentence) {
  return new Promise((resolve, reject) => {
    const env = {
      ...process.env,
      TURBO_TELEMETRY_DISABLED: "1",
      TURBO_NO_UPDATE_NOTIFIER: "1",
      DO_NOT_TRACK: "1",
      CI: process.env.CI ?? "1",
    };
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.once("error", (error) => reject(new Error(`${command} can't be started (${error.message})`)));
    child.once("close", (code) => {
      if (code === 0) return resolve();
      process.stderr.write(Buffer.concat(output));
      reject(new Error(sentence));
    });
  });
}

/** Runs `work` in one process of this checkout at a time; the lock of a process that is gone is taken over. */
export async function locked(path, work) {
  mkdirSync(join(path, ".."), { recursive: true });
  let hasWaited = false;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = ownerOf(path);
    if (owner !== undefined && !isAlive(owner)) rmSync(path, { force: true });
    else {
      if (!hasWaited) say("another process is preparing this folder, waiting for it");
      hasWaited = true;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
  const unlock = () => rmSync(path, { force: true });
  process.once("exit", unlock);
  try {
    return await work();
  } finally {
    process.off("exit", unlock);
    unlock();
  }
}

function ownerOf(path) {
  try {
    const owner = Number(readFileSync(path, "utf8"));
    return owner > 0 ? owner : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
