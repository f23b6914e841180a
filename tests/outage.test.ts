import { setTimeout as pause } from "node:timers/promises";
import { type MongoServer, mongoServer, type NatsServer, natsServer, type TcpProxy, tcpProxy } from "@longhaul/testkit";
import { afterAll, expect, test } from "vitest";
import { type Load, startLoad } from "./src/load.ts";
import { stage } from "./src/stage.ts";
import { cluster } from "./src/system.ts";

/** How long a server is away. CI runs this file once more with 30,000. */
const outageMs = Number(process.env["OUTAGE_MS"] ?? 3_000);

const made: { mongo?: MongoServer; nats?: NatsServer; toMongo?: TcpProxy; toNats?: TcpProxy } = {};
const there = <K extends keyof typeof made>(key: K): NonNullable<(typeof made)[K]> => {
  const found = made[key];
  if (!found) throw new Error(`${key} is not there yet`);
  return found;
};
const at = stage(async () => {
  [made.mongo, made.nats] = await Promise.all([mongoServer(), natsServer()]);
  [made.toMongo, made.toNats] = await Promise.all([tcpProxy(made.mongo.port), tcpProxy(made.nats.port)]);
  return cluster({
    mongodbUrl: made.mongo.urlOf("outage", { direct: true, port: made.toMongo.port }),
    natsUrl: `nats://127.0.0.1:${made.toNats.port}`,
  });
});
afterAll(async () => {
  await Promise.all([made.toMongo?.stop(), made.toNats?.stop()]);
  await Promise.all([made.mongo?.stop(), made.nats?.stop()]);
});

const begin = (name: string): Promise<Load> =>
  startLoad({ api: at.api, outside: at.outside, hooks: at.hooks, name, tasks: 250, concurrency: 8 });

/** Refused with 503 and Retry-After (which the load checks), or accepted and kept; never anything else. */
async function expectOrderly(load: Load): Promise<void> {
  await load.expectKept();
  expect([...load.refusals.keys()].filter((status) => status !== 503)).toEqual([]);
  for (const service of at.system.services) expect(service.output(), service.name).not.toMatch(/nobody caught/);
}

test.each(["reset", "silent"] as const)(
  "MongoDB away (%s) under load: refused or kept, nothing lost, work resumes",
  async (how) => {
    const load = await begin(`mongo-${how}`);
    await load.reached(60);
    there("toMongo").cut(how);
    await pause(outageMs);
    there("toMongo").heal();
    await expectOrderly(load);
  },
  240_000,
);

test("MongoDB killed with -9 and started again later: what was accepted is still there", async () => {
  const load = await begin("mongo-killed");
  await load.reached(60);
  await there("mongo").kill();
  await pause(outageMs);
  await there("mongo").restart();
  await expectOrderly(load);
}, 240_000);

test.each(["reset", "silent"] as const)(
  "NATS away (%s) under load: refused or kept, nothing lost, work resumes",
  async (how) => {
    const load = await begin(`nats-${how}`);
    await load.reached(60);
    there("toNats").cut(how);
    await pause(outageMs);
    there("toNats").heal();
    await expectOrderly(load);
  },
  240_000,
);

test("NATS killed with -9 and started again later: work resumes", async () => {
  const load = await begin("nats-killed");
  await load.reached(60);
  await there("nats").kill();
  await pause(outageMs);
  await there("nats").restart();
  await expectOrderly(load);
}, 240_000);

test("while MongoDB is away a submit is answered in time with 503 and Retry-After, and reads are too", async () => {
  await at.api.put({ name: "probe", nodes: [{ id: "x", kind: "transform", with: {} }] });
  there("toMongo").cut("reset");
  try {
    const begun = performance.now();
    const replies = await Promise.all([
      at.api.call("/v1/tasks", { body: { workflow: "probe" } }),
      at.api.call("/v1/tasks"),
      at.api.call("/v1/workflows/probe-unknown"),
    ]);
    for (const reply of replies) {
      expect([reply.status, reply.headers["content-type"]], reply.text).toEqual([503, "application/problem+json"]);
      expect(reply.headers["retry-after"]).toMatch(/^\d+$/);
      expect(reply.json()).toMatchObject({ code: "unavailable" });
    }
    expect(performance.now() - begun).toBeLessThan(20_000);
  } finally {
    there("toMongo").heal();
  }
});
