import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { countTests } from "./count-tests.mjs";
import { isInstalled, locked, root } from "./prepare.mjs";

const dirs: string[] = [];
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});
async function folder(lock: object, installed?: object) {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-scripts-"));
  dirs.push(dir);
  await mkdir(join(dir, "node_modules"));
  await writeFile(join(dir, "package-lock.json"), JSON.stringify({ packages: lock }));
  if (installed) await writeFile(join(dir, "node_modules", ".package-lock.json"), JSON.stringify({ packages: installed }));
  return dir;
}
const a = { version: "1.0.0", integrity: "sha512-a" };

test("what npm noted decides whether dependencies are installed", async () => {
  const lock = {
    "": {},
    "packages/x": {},
    "node_modules/a": a,
    "node_modules/odd-platform": { version: "1.0.0", optional: true },
  };
  expect(isInstalled(await folder(lock, { "node_modules/a": a }))).toBe(true);
  expect(isInstalled(await folder(lock))).toBe(false);
  expect(isInstalled(await folder(lock, {}))).toBe(false);
  expect(isInstalled(await folder(lock, { "node_modules/a": { ...a, version: "1.0.1" } }))).toBe(false);
  expect(isInstalled(await folder(lock, { "node_modules/a": { ...a, integrity: "sha512-b" } }))).toBe(false);
});

test("a workspace that is not linked yet counts as not installed", async () => {
  const link = { "node_modules/@longhaul/x": { resolved: "packages/x", link: true } };
  const dir = await folder(link, link);
  expect(isInstalled(dir)).toBe(false);
  await mkdir(join(dir, "node_modules", "@longhaul", "x"), { recursive: true });
  expect(isInstalled(dir)).toBe(true);
});

test("this checkout is installed", () => {
  expect(isInstalled(root)).toBe(true);
});

test("the lock lets one in at a time, is freed after a failure, and a dead owner holds up nobody", async () => {
  const dir = await folder({});
  const path = join(dir, ".cache", "prepare.lock");
  const seen: string[] = [];
  let leave = (): void => {};
  const gate = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const first = locked(path, async () => {
    seen.push("first in");
    await gate;
    seen.push("first out");
    throw new Error("failed");
  });
  const second = locked(path, async () => void seen.push("second in"));
  leave();
  await expect(first).rejects.toThrow("failed");
  await second;
  expect(seen).toEqual(["first in", "first out", "second in"]);
  // No process of Linux can have this number.
  await writeFile(path, "4194305");
  await locked(path, async () => expect(await readFile(path, "utf8")).toBe(String(process.pid)));
});

test("tests are counted, and a file that could not be read counts as a failure", () => {
  const file = (status: string, ...tests: string[]) => ({ status, assertionResults: tests.map((one) => ({ status: one })) });
  const testResults = [file("passed", "passed"), file("failed", "passed", "failed"), file("failed"), file("failed", "passed")];
  expect(countTests({ numPassedTests: 3, numFailedTests: 1, testResults })).toEqual({ passed: 3, failed: 3 });
});
