import { createConnection, createServer, type Socket } from "node:net";
import { LonghaulError } from "@longhaul/core";
import { type MongoServer, mongoServer } from "@longhaul/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { keyOf, queued, running, startOfTime as t0 } from "../contract/index.ts";
import { type MongoStores, openMongo } from "./open-mongo.ts";

let server: MongoServer;
const closings: (() => Promise<void>)[] = [];
let databases = 0;

beforeAll(async () => {
  server = await mongoServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

async function open(how: { port?: number; direct?: boolean; budgetMs?: number } = {}): Promise<MongoStores> {
  databases++;
  const { budgetMs, ...where } = how;
  const url = server.urlOf(`outage_${databases}`, where);
  const stores = await openMongo({ url, housekeeping: false, ...(budgetMs === undefined ? {} : { budgetMs }) });
  closings.push(stores.close);
  return stores;
}

/** A second way to the same database, past the proxy. */
async function openDirect(): Promise<MongoStores> {
  const stores = await openMongo({ url: server.urlOf(`outage_${databases}`), housekeeping: false });
  closings.push(stores.close);
  return stores;
}

/** A TCP proxy that can lose the answer to the next request with a certain word in it, or that request itself, or all connections. */
async function proxy() {
  const sockets = new Set<Socket>();
  let losing: { word: string; what: "answer" | "request" } | undefined;
  const listener = createServer((client) => {
    const upstream = createConnection(server.port, "127.0.0.1");
    let mute = false;
    let deaf = false;
    client.on("data", (chunk) => {
      if (losing && chunk.includes(losing.word)) {
        mute = true;
        deaf = losing.what === "request";
        losing = undefined;
      }
      if (!deaf) upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (!mute) client.write(chunk);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  closings.push(async () => {
    cut();
    await new Promise((resolve) => listener.close(resolve));
  });
  const address = listener.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    cut,
    lose: (what: "answer" | "request", word: string) => {
      losing = { word, what };
    },
  };
}

async function failureOf(work: Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const start = performance.now();
  const error = await work.then(
    () => undefined,
    (why: unknown) => why,
  );
  return { error, ms: performance.now() - start };
}

test("while the server is down every store says unavailable within seconds, and all work again once it is back", async () => {
  const stores = await open();
  const task = queued();
  await stores.tasks.insert([task]);
  await server.kill();
  const failures = await Promise.all(
    [
      stores.tasks.insert([queued()]),
      stores.tasks.get([keyOf(task)]),
      stores.tasks.replace([{ next: running({ id: task.id }), rev: 0 }]),
      stores.tasks.listDue([7], t0, 1),
      stores.tasks.list({ project: "acme", limit: 1, q: "word" }),
      stores.tasks.now(),
      stores.payloads.put([{ key: "k", json: "1" }]),
      stores.payloads.get(["k"]),
      stores.catalog.getHead("acme", "echo"),
      stores.leases.renew("a", t0),
      stores.deliveries.listUnreported(1),
      openMongo({ url: server.urlOf("other"), housekeeping: false }),
    ].map(failureOf),
  );
  for (const { error, ms } of failures) {
    expect(error).toBeInstanceOf(LonghaulError);
    expect(error).toMatchObject({ code: "unavailable", retryAfterMs: expect.any(Number) });
    expect(ms).toBeLessThan(11_000);
  }
  // Searches and starting may take longer; what a caller waits for may not.
  for (const { ms } of failures.slice(0, 4)) expect(ms).toBeLessThan(6_000);

  await server.restart();
  expect(await stores.tasks.replace([{ next: running({ id: task.id }), rev: 0 }])).toEqual(["replaced"]);
  expect(await stores.tasks.insert([queued()])).toEqual(["inserted"]);
  expect(await stores.leases.list(t0)).toEqual({ leases: [], owners: [] });
  expect(await stores.deliveries.listUnreported(1)).toEqual([]);
});

test("a short outage is bridged: the call that began in it succeeds", async () => {
  const stores = await open({ budgetMs: 30_000 });
  await server.kill();
  const insert = stores.tasks.insert([queued()]);
  const [answer] = await Promise.all([insert, server.restart()]);
  expect(answer).toEqual(["inserted"]);
});

test("a server that hangs is unavailable within seconds, and answers again when it goes on", async () => {
  const stores = await open();
  const task = queued();
  await stores.tasks.insert([task]);
  server.freeze();
  const failed = await Promise.all([failureOf(stores.tasks.get([keyOf(task)])), failureOf(stores.tasks.insert([queued()]))]);
  server.thaw();
  for (const { error, ms } of failed) {
    expect(error).toMatchObject({ code: "unavailable" });
    expect(ms).toBeLessThan(6_500);
  }
  await expect.poll(() => stores.tasks.get([keyOf(task)]).catch(() => []), { timeout: 20_000 }).toHaveLength(1);
});

test("what was answered as stored is there after a kill under load", async () => {
  const stores = await open();
  const kept: string[] = [];
  let ended = false;
  const writer = async (): Promise<void> => {
    while (!ended) {
      const task = queued();
      const answer = await stores.tasks.insert([task]).catch(() => undefined);
      if (answer === undefined) return;
      if (answer[0] === "inserted") kept.push(task.id);
      const moved = await stores.tasks.replace([{ next: running({ id: task.id }), rev: 0 }]).catch(() => undefined);
      if (moved?.[0] === "replaced") kept.push(`${task.id} running`);
    }
  };
  const writers = Array.from({ length: 20 }, writer);
  await expect.poll(() => kept.length).toBeGreaterThan(500);
  await server.kill();
  ended = true;
  const before = kept.length;
  expect(before).toBeGreaterThan(500);
  await server.restart();
  await Promise.all(writers);
  const ids = kept.filter((entry) => !entry.includes(" "));
  const found = await stores.tasks.get(ids.map((id) => ({ project: "acme", id })));
  expect(found.every((one) => one !== undefined)).toBe(true);
  const moved = new Set(kept.filter((entry) => entry.includes(" ")).map((entry) => entry.split(" ")[0]));
  for (const one of found) if (one && moved.has(one.task.id)) expect(one.rev).toBe(1);
});

test("a write whose answer was lost with its connection is recognised as one's own", async () => {
  const line = await proxy();
  const stores = await open({ port: line.port, direct: true });
  const direct = await openDirect();
  const task = queued();
  await stores.tasks.insert([task]);

  line.lose("answer", "updates");
  const replaced = stores.tasks.replace([{ next: running({ id: task.id }), rev: 0 }]);
  await expect.poll(async () => (await direct.tasks.get([keyOf(task)]))[0]?.rev).toBe(1);
  line.cut();
  expect(await replaced).toEqual(["replaced"]);

  const fresh = queued();
  line.lose("answer", "documents");
  const inserted = stores.tasks.insert([fresh]);
  await expect.poll(async () => (await direct.tasks.get([keyOf(fresh)]))[0]?.rev).toBe(0);
  line.cut();
  expect(await inserted).toEqual(["inserted"]);
  expect((await direct.tasks.get([keyOf(task), keyOf(fresh)])).map((one) => one?.rev)).toEqual([1, 0]);
});

test("an insert whose answer was lost is still one's own after somebody else moved the task on", async () => {
  const line = await proxy();
  const stores = await open({ port: line.port, direct: true });
  const direct = await openDirect();
  const task = queued();
  await stores.tasks.now();
  line.lose("answer", "documents");
  const inserted = stores.tasks.insert([task]);
  await expect.poll(async () => (await direct.tasks.get([keyOf(task)]))[0]?.rev).toBe(0);
  await direct.tasks.replace([{ next: running({ id: task.id }), rev: 0 }]);
  line.cut();
  expect(await inserted).toEqual(["inserted"]);
});

test("a write that was done but never answered is found by reading back after its time", async () => {
  const line = await proxy();
  const stores = await open({ port: line.port, direct: true, budgetMs: 1_500 });
  const task = queued();
  await stores.tasks.insert([task]);
  line.lose("answer", "updates");
  expect(await stores.tasks.replace([{ next: running({ id: task.id }), rev: 0 }])).toEqual(["replaced"]);
});

test("a write that never arrived is unavailable and not stale, because it may still come", async () => {
  const line = await proxy();
  const stores = await open({ port: line.port, direct: true, budgetMs: 1_500 });
  const task = queued();
  await stores.tasks.insert([task]);
  line.lose("request", "updates");
  const { error } = await failureOf(stores.tasks.replace([{ next: running({ id: task.id }), rev: 0 }]));
  expect(error).toMatchObject({ code: "unavailable" });
  line.lose("request", "documents");
  expect((await failureOf(stores.tasks.insert([queued()]))).error).toMatchObject({ code: "unavailable" });
  expect((await stores.tasks.get([keyOf(task)]))[0]?.rev).toBe(0);
});

test("a closed store is unavailable at once and does not connect anew", async () => {
  const stores = await open();
  await stores.close();
  const { error, ms } = await failureOf(stores.tasks.get([keyOf(queued())]));
  expect(error).toMatchObject({ code: "unavailable" });
  expect(ms).toBeLessThan(1_000);
});
