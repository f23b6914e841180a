// `npm test`: installs and builds what is missing or stale, finds MongoDB and NATS, runs every test, and ends with `N passed, N failed`.
// Arguments go to Vitest: `npm test -- packages/core`.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { countTests } from "./count-tests.mjs";
import { prepare, root, say } from "./prepare.mjs";

process.exitCode = await main();

async function main() {
  let servers;
  try {
    await prepare();
    servers = await findServers();
  } catch (error) {
    say(error.message);
    return finish({ passed: 0, failed: 1 }, 1);
  }
  say("running the tests");
  const report = join(root, ".cache", `tests-${process.pid}.json`);
  mkdirSync(join(root, ".cache"), { recursive: true });
  const code = await runVitest(report, servers);
  let counts = { passed: 0, failed: 1 };
  try {
    counts = countTests(JSON.parse(readFileSync(report, "utf8")));
  } catch {
    say("the tests left no report");
  } finally {
    rmSync(report, { force: true });
  }
  return finish(counts, code);
}

async function findServers() {
  const built = pathToFileURL(join(root, "packages", "testkit", "dist", "servers", "find-server.js")).href;
  const { findServer } = await import(built);
  const { env } = process;
  const found = {};
  if (!env.MONGODB_TEST_URL) found.MONGOD_BIN = await findServer("mongod", { say });
  if (!env.NATS_TEST_URL) found.NATS_SERVER_BIN = await findServer("nats-server", { say });
  return found;
}

function runVitest(report, servers) {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const args = [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...servers },
    stdio: ["ignore", "inherit", "inherit"],
  });
  // A terminal sends Ctrl-C to Vitest itself; other signals come only here.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}

function finish({ passed, failed }, code) {
  // A run that fails without a failed test (an error outside of any) counts as one failure.
  const shown = code !== 0 && failed === 0 ? 1 : failed;
  process.stdout.write(`${passed} passed, ${shown} failed\n`);
  return shown > 0 ? 1 : 0;
}
