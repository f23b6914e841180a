import { testDatabase } from "@longhaul/testkit";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Api, api } from "./src/api.ts";
import { type Balancer, balancer } from "./src/balancer.ts";
import { type Load, startLoad } from "./src/load.ts";
import { stage } from "./src/stage.ts";
import { cluster } from "./src/system.ts";
import { until } from "./src/until.ts";

/** How long a scheduler's lease on its partitions lasts, and how long until the next one has seen that it ended. */
const takeOverMs = 5_000 + 1_500 + 2_500;
const projects = ["amber", "birch", "cedar", "dune", "ember", "fjord"];
const keyOf = (project: string): string => `lh_${project.repeat(8)}`;

const database = { url: "" };
let front: Balancer | undefined;
let client: MongoClient | undefined;
const callers = new Map<string, Api>();
const at = stage(async () => {
  database.url = testDatabase().url;
  return cluster({
    gateways: 2,
    schedulers: 2,
    executors: 2,
    mongodbUrl: database.url,
    env: { API_KEYS: projects.map((project) => `${project}=${keyOf(project)}`).join(",") },
    schedulerUrl: async (ports) => {
      front = await balancer(ports);
      return front.url;
    },
  });
});
beforeAll(async () => {
  client = await new MongoClient(database.url).connect();
  for (const [i, project] of projects.entries()) {
    callers.set(project, api(at.system.urls[i % at.system.urls.length] ?? at.system.url, { key: keyOf(project) }));
  }
});
afterAll(async () => {
  await client?.close();
  await front?.stop();
  await Promise.all([...callers.values()].map((one) => one.close()));
});

/** How many partitions each living owner holds. */
async function shares(): Promise<readonly number[]> {
  const found = new Map<string, number>();
  const leases = client?.db().collection<{ owner: string; until: number | Date }>("partitions").find() ?? [];
  for await (const { owner, until: end } of leases) {
    if (Number(end) > Date.now()) found.set(owner, (found.get(owner) ?? 0) + 1);
  }
  return [...found.values()].sort((a, b) => a - b);
}
const shared = (wanted: readonly number[]) =>
  until(async () => JSON.stringify(await shares()) === JSON.stringify(wanted), 20_000, `partitions held as ${wanted}`);

/** The same work in every project, so that both schedulers have some. */
function loads(name: string, tasks: number): Promise<readonly Load[]> {
  return Promise.all(
    projects.map((project) => {
      const caller = callers.get(project);
      if (!caller) throw new Error(project);
      return startLoad({ api: caller, outside: at.outside, hooks: at.hooks, name: `${name}-${project}`, tasks, concurrency: 4 });
    }),
  );
}

test("two schedulers share the partitions, and nothing that either of them does is done twice", async () => {
  await shared([32, 32]);
  const all = await loads("both", 40);
  await Promise.all(all.map((load) => load.expectKept()));
  expect(all.flatMap((load) => [...load.refusals.keys()])).toEqual([]);
});

test("one project does not see another's tasks and workflows", async () => {
  const [mine, other] = [callers.get("amber"), callers.get("birch")];
  const [task] = (await mine?.list("workflow=both-amber&pageSize=1")) ?? [];
  expect((await other?.call(`/v1/tasks/${task?.id}`))?.status).toBe(404);
  expect((await other?.call("/v1/workflows/both-amber"))?.status).toBe(404);
  expect((await other?.call(`/v1/tasks/${task?.id}:cancel`, { body: {} }))?.status).toBe(404);
  expect((await at.api.call("/v1/tasks")).status).toBe(401);
});

test("one scheduler killed under load: the other takes over within the lease, and nothing is lost or doubled", async () => {
  const all = await loads("killed", 40);
  await Promise.all(all.map((load) => load.reached(15)));
  await at.system.service("scheduler-2").kill();
  const begun = performance.now();
  await shared([64]);
  expect(performance.now() - begun).toBeLessThan(takeOverMs);
  await Promise.all(all.map((load) => load.expectKept()));
  await at.system.service("scheduler-2").restart();
  await shared([32, 32]);
});

test("a scheduler frozen past its lease, that then goes on as if it still had it, does no harm", async () => {
  const frozen = at.system.service("scheduler-2");
  const all = await loads("frozen", 40);
  await Promise.all(all.map((load) => load.reached(10)));
  front?.exclude(frozen.port);
  frozen.freeze();
  await shared([64]);
  const more = await loads("thawed", 20);
  frozen.thaw();
  front?.include(frozen.port);
  await Promise.all([...all, ...more].map((load) => load.expectKept()));
  await shared([32, 32]);
});
