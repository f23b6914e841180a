import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, type NodeProcess, spawnNode, testDatabase, testNats } from "@longhaul/testkit";
import Database from "libsql";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api } from "./src/api.ts";
import { entryOf, type ServiceName } from "./src/service.ts";
import { internalToken, secretKey, solo } from "./src/system.ts";

const folders: string[] = [];
const running: NodeProcess[] = [];
beforeAll(async () => {
  folders.push(await mkdtemp(join(tmpdir(), "longhaul-start-")));
});
afterAll(async () => {
  await Promise.all(running.map((one) => one.kill("SIGKILL")));
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});
const folder = (name: string): string => join(folders[0] ?? "", name);

function run(kind: ServiceName, env: Readonly<Record<string, string>>): NodeProcess {
  const made = spawnNode(entryOf(kind), env);
  running.push(made);
  return made;
}

/** Starts a process that must refuse to, and answers what it said. */
async function refusal(kind: ServiceName, env: Readonly<Record<string, string>>): Promise<string> {
  const started = run(kind, { PORT: "0", ...env });
  const exit = await started.exited;
  expect(exit, started.output()).toEqual({ code: 1, signal: null });
  expect(started.output()).toContain(`longhaul ${kind}: `);
  expect(started.output()).not.toMatch(/\n\s+at /);
  return started.output();
}

test("a second process on the same data directory is refused with a sentence, and the first goes on", async () => {
  const dataDir = folder("shared");
  const first = await solo({ dataDir });
  const caller = api(first.url);
  try {
    expect(await refusal("solo", { DATA_DIR: dataDir })).toMatch(/Another Longhaul process uses .*longhaul\.db.*DATA_DIR/);
    await caller.put({ name: "x", nodes: [{ id: "x", kind: "transform", with: {} }] });
    expect(await caller.submit({ workflow: "x" }, { prefer: "wait=20" })).toMatchObject({ state: "succeeded" });
  } finally {
    await caller.close();
    await first.stop();
  }
});

test("a data directory that a newer version has written is refused with a sentence, and left as it was", async () => {
  const dataDir = folder("newer");
  const first = await solo({ dataDir });
  expect(await first.service("solo").quit()).toEqual({ code: 0, signal: null });
  const file = join(dataDir, "longhaul.db");
  const database = new Database(file);
  const versions = (): unknown[] => database.prepare("SELECT version FROM schema_version").all([]);
  database.exec("UPDATE schema_version SET version = 999");
  const written = versions();
  expect(JSON.stringify(written)).toContain("999");
  expect(await refusal("solo", { DATA_DIR: dataDir })).toMatch(/newer/);
  expect(versions()).toEqual(written);
  database.close();
});

test("a database that a newer version has written is refused by scheduler and notifier", async () => {
  const { url } = testDatabase();
  const client = await new MongoClient(url).connect();
  await client.db().collection<{ _id: string; version: number }>("meta").insertOne({ _id: "schema", version: 999 });
  const env = {
    MONGODB_URL: url,
    NATS_URL: testNats().url,
    SCHEDULER_URL: "http://127.0.0.1:9",
    NOTIFIER_URL: "http://127.0.0.1:9",
    SECRET_KEY: secretKey,
    INTERNAL_TOKEN: internalToken,
  };
  for (const kind of ["scheduler", "notifier"] as const) expect(await refusal(kind, env)).toMatch(/newer Longhaul.*999/);
  expect((await client.db().listCollections().toArray()).map((one) => one.name)).toEqual(["meta"]);
  await client.close();
});

describe("faults of the configuration are all told at once", () => {
  test.each([
    [
      "solo",
      {
        LEASE_MS: "5",
        MAX_TRIES: "many",
        OUTBOUND_ALLOW: "everything",
        API_KEYS: "nokey",
        SECRET_KEY: "short",
        LOG_LEVEL: "loud",
      },
    ],
    ["scheduler", { LEASE_MS: "5", MONGODB_URL: "http://nope", SECRET_KEY: "short", INTERNAL_TOKEN: "short" }],
    ["executor", { EXECUTOR_CONCURRENCY: "0", NATS_URL: "ftp://x", INTERNAL_TOKEN: "short" }],
    ["notifier", { WEBHOOK_ATTEMPTS: "99", SECRET_KEY: "short", MONGODB_URL: "nope" }],
    ["gateway", { MAX_BODY_BYTES: "1", API_KEYS: "p=wrong", SCHEDULER_URL: "nope", INTERNAL_TOKEN: "short" }],
  ] as const)("%s", async (kind, env: Readonly<Record<string, string>>) => {
    const said = await refusal(kind, { DATA_DIR: folder("faults"), ...env, PORT: "99999" });
    for (const name of [...Object.keys(env), "PORT"]) expect(said).toContain(name);
    for (const secret of ["short", "p=wrong", "nokey"]) expect(said).not.toContain(`"${secret}"`);
  });

  test.each([
    ["scheduler", ["MONGODB_URL", "NATS_URL", "NOTIFIER_URL", "SECRET_KEY", "INTERNAL_TOKEN"]],
    ["executor", ["NATS_URL", "SCHEDULER_URL", "INTERNAL_TOKEN"]],
    ["notifier", ["MONGODB_URL", "SCHEDULER_URL", "SECRET_KEY", "INTERNAL_TOKEN"]],
    ["gateway", ["SCHEDULER_URL", "NOTIFIER_URL", "INTERNAL_TOKEN"]],
  ] as const)("%s without its addresses and keys names all of them", async (kind, names) => {
    const said = await refusal(kind, {});
    for (const name of names) expect(said).toContain(name);
  });
});

test("off loopback, without keys, solo and the gateway are refused with what to set", async () => {
  const said = await refusal("solo", { HOST: "0.0.0.0", DATA_DIR: folder("open") });
  expect(said).toMatch(/SECRET_KEY/);
  expect(said).toMatch(/API_KEYS/);
  expect(said).toMatch(/127\.0\.0\.1/);
  const gateway = await refusal("gateway", {
    HOST: "0.0.0.0",
    SCHEDULER_URL: "http://127.0.0.1:9",
    NOTIFIER_URL: "http://127.0.0.1:9",
    INTERNAL_TOKEN: internalToken,
  });
  expect(gateway).toMatch(/API_KEYS/);
});

test("off loopback, with keys, nobody without one gets in", async () => {
  const key = "lh_0123456789abcdef0123";
  const port = String(await freePort());
  const process = run("solo", {
    HOST: "0.0.0.0",
    PORT: port,
    DATA_DIR: folder("keys"),
    SECRET_KEY: secretKey,
    API_KEYS: `acme=${key}`,
  });
  await process.ready(/Longhaul listens on/);
  expect(process.output()).not.toContain(key);
  const [stranger, wrong, known] = [
    api(`http://127.0.0.1:${port}`),
    api(`http://127.0.0.1:${port}`, { key: "lh_0123456789abcdef0124" }),
    api(`http://127.0.0.1:${port}`, { key }),
  ];
  for (const caller of [stranger, wrong]) {
    for (const path of ["/v1/tasks", "/v1/workflows", "/v1/tasks/01900000-0000-7000-8000-000000000000/events"]) {
      const reply = await caller.call(path);
      expect([reply.status, reply.headers["content-type"]]).toEqual([401, "application/problem+json"]);
    }
  }
  expect((await known.call("/v1/tasks")).status).toBe(200);
  await Promise.all([stranger, wrong, known].map((one) => one.close()));
});

test("a port that is taken is said in a sentence", async () => {
  const first = await solo({ dataDir: folder("port-a") });
  try {
    expect(await refusal("solo", { DATA_DIR: folder("port-b"), PORT: String(first.port) })).toMatch(
      /listens there already; set PORT/,
    );
  } finally {
    await first.stop();
  }
});
