import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { findServer } from "./find-server.ts";

const dirs: string[] = [];
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});
async function folder(files: Record<string, string> = {}) {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-find-"));
  dirs.push(dir);
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(dir, name), text);
    await chmod(join(dir, name), 0o755);
  }
  return dir;
}
const good = "#!/bin/sh\nexit 0\n";
const bad = "#!/bin/sh\nexit 1\n";

test("the environment comes first, then PATH, then what was fetched earlier", async () => {
  const [given, path, cache] = [await folder({ mongod: good }), await folder({ mongod: good }), await folder({ mongod: good })];
  const env = { MONGOD_BIN: join(given, "mongod"), PATH: path };
  expect(await findServer("mongod", { env, cache })).toBe(join(given, "mongod"));
  expect(await findServer("mongod", { env: { PATH: `/nowhere:${path}` }, cache })).toBe(join(path, "mongod"));
  expect(await findServer("mongod", { env: {}, cache })).toBe(join(cache, "mongod"));
});

test("one on PATH that does not run is passed over, one given by environment is an error that says what to do", async () => {
  const [path, cache] = [await folder({ "nats-server": bad }), await folder({ "nats-server": good })];
  expect(await findServer("nats-server", { env: { PATH: path }, cache })).toBe(join(cache, "nats-server"));
  const env = { NATS_SERVER_BIN: join(path, "nats-server") };
  await expect(findServer("nats-server", { env, cache })).rejects.toThrow(/does not run; install nats-server/);
});

const fetchGood = async (dir: string) => {
  await writeFile(join(dir, "fetched"), good);
  return join(dir, "fetched");
};

test("what is fetched is kept, made runnable, and fetched once however many ask at the same time", async () => {
  const cache = await folder();
  let fetched = 0;
  const ways = [
    async (dir: string) => {
      fetched++;
      return fetchGood(dir);
    },
  ];
  const all = await Promise.all([1, 2, 3].map(() => findServer("mongod", { env: {}, cache, ways })));
  expect(new Set(all)).toEqual(new Set([join(cache, "mongod")]));
  expect(fetched).toBe(1);
  expect(await readdir(cache)).toEqual(["mongod"]);
});

test("when one way fails, or brings what does not run, the next is tried", async () => {
  const cache = await folder();
  const broken = async (dir: string) => {
    await writeFile(join(dir, "x"), bad);
    return join(dir, "x");
  };
  const ways = [() => Promise.reject(new Error("no network")), broken, fetchGood];
  expect(await findServer("mongod", { env: {}, cache, ways })).toBe(join(cache, "mongod"));
});

test("when nothing works it says in one sentence what to install, and leaves nothing behind", async () => {
  const cache = await folder();
  const ways = [() => Promise.reject(new Error("no network\nmore")), () => Promise.reject(new Error("no go"))];
  await expect(findServer("nats-server", { env: {}, cache, ways })).rejects.toThrow(
    /^nats-server is needed and could not be fetched \(no network; no go\): install nats-server 2\.12 or newer/,
  );
  expect(await readdir(cache)).toEqual([]);
});

test("the lock of a process that is gone holds up nobody", async () => {
  // No process of Linux can have this number.
  const cache = await folder({ "mongod.lock": "4194305" });
  await findServer("mongod", { env: {}, cache, ways: [fetchGood] });
  expect(await readdir(cache)).toEqual(["mongod"]);
});
