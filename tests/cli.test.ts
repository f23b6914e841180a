import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@longhaul/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TaskView } from "./src/api.ts";
import { type CliOptions, type CliRun, longhaul } from "./src/longhaul.ts";
import { solo } from "./src/system.ts";

let system: Awaited<ReturnType<typeof solo>>;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-cli-"));
  system = await solo();
});
afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

const cli = (args: readonly string[], options?: CliOptions): Promise<CliRun> => longhaul(system.url, args, options);

async function deploy(name: string, definition: string): Promise<CliRun> {
  const file = join(folder, `${name}.yaml`);
  await writeFile(file, `name: ${name}\n${definition}`);
  return cli(["deploy", file]);
}

const hello = `
input: { type: object, required: [name], properties: { name: { type: string } } }
nodes:
  - { id: greet, kind: transform, with: { text: "Hello, \${ input.name }!" } }
output: "\${ nodes.greet }"
`;
const gate = `
nodes:
  - { id: ok, kind: signal, with: { name: go } }
output: "\${ nodes.ok }"
`;

test("deploy, run, list: a workflow does its work, and scripts read JSON and exit codes", async () => {
  expect(await deploy("hello", hello)).toMatchObject({ exit: 0, err: "" });

  const done = await cli(["run", "hello", "--input", "-", "--wait", "--label", "team=x"], { stdin: '{"name":"world"}' });
  expect(done.exit).toBe(0);
  expect(done.json()).toMatchObject({ state: "succeeded", output: { text: "Hello, world!" }, labels: { team: "x" } });

  const listed = (await cli(["ls", "--workflow", "hello", "--state", "succeeded", "--label", "team=x"])).json<{
    tasks: TaskView[];
  }>();
  expect(listed.tasks.map(({ id }) => id)).toEqual([done.json<TaskView>().id]);
  const { nodes } = (await cli(["nodes", done.json<TaskView>().id])).json<{ nodes: { path: string }[] }>();
  expect(nodes.map(({ path }) => path)).toEqual(["greet"]);

  const refused = await cli(["run", "hello", "--input", '{"name":1}', "--wait"]);
  expect([refused.exit, refused.out]).toEqual([1, ""]);
  expect(refused.err).toContain("/input/name");
  expect(await cli(["run", "unknown"])).toMatchObject({ exit: 1, out: "" });
  expect((await cli(["run", "hello", "--input", "{"])).exit).toBe(2);
});

test("the same idempotency key makes one task of two runs", async () => {
  await deploy("hello", hello);
  const args = ["run", "hello", "--input", '{"name":"x"}', "--idempotency-key", "order-1"];
  const [first, second] = [await cli(args), await cli(args)];
  expect(second.json<TaskView>().id).toBe(first.json<TaskView>().id);
  expect((await cli(["run", "hello", "--input", '{"name":"y"}', "--idempotency-key", "order-1"])).exit).toBe(1);
});

test("a definition with faults is refused with its places, and validated to the same", async () => {
  const bad = await deploy("bad", "nodes:\n  - { id: a, kind: nothing }\n");
  expect([bad.exit, bad.out]).toEqual([1, ""]);
  expect(bad.err).toContain("/nodes/0/kind (node a)");
  const validated = await cli(["validate", join(folder, "bad.yaml")]);
  expect([validated.exit, validated.json<{ valid: boolean }>().valid]).toEqual([1, false]);
  await deploy("hello", hello);
  const tried = await cli(["validate", join(folder, "hello.yaml"), "--input", '{"name":"x"}']);
  expect(tried.exit).toBe(0);
  expect(tried.json()).toMatchObject({ dryRun: { output: { text: "Hello, x!" } } });
});

test("a task that fails ends run --follow with 1, after a line for each event; a retry starts a new one", async () => {
  await deploy("boom", 'nodes:\n  - { id: a, kind: transform, with: { n: "${ input.missing.too }" } }\n');
  const failed = await cli(["run", "boom", "--input", "{}", "--follow"]);
  expect(failed.exit).toBe(1);
  const events = failed.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string; data: TaskView });
  const end = events.at(-1);
  expect(end).toMatchObject({ event: "end", data: { state: "failed", error: { node: "a" } } });
  const retried = await cli(["retry", end?.data.id ?? "", "--wait"]);
  expect([retried.exit, retried.json<TaskView>().retryOf]).toEqual([1, end?.data.id]);
});

test("a waiting task survives Ctrl-C, takes its signal, and can be cancelled", async () => {
  await deploy("gate", gate);
  const { id } = (await cli(["run", "gate"])).json<TaskView>();
  const stopped = await cli(["watch", id], { interruptAt: /"waiting"/ });
  expect(stopped.exit).toBe(130);
  expect(stopped.err).toContain(`Task ${id} is kept and goes on`);
  expect((await cli(["get", id, "--wait", "--timeout", "1ms"])).exit).toBe(3);
  expect((await cli(["signal", id, "--name", "go", "--payload", '{"n":1}'])).exit).toBe(0);
  expect((await cli(["get", id, "--wait"])).json()).toMatchObject({ state: "succeeded", output: { n: 1 } });

  const other = (await cli(["run", "gate"])).json<TaskView>().id;
  const cancelled = await cli(["cancel", other, "00000000-0000-7000-8000-000000000000"]);
  expect(cancelled.exit).toBe(1);
  expect(cancelled.json()).toMatchObject({
    tasks: [{ id: other, state: "cancelled" }],
    missing: ["00000000-0000-7000-8000-000000000000"],
  });
  expect((await cli(["watch", other])).exit).toBe(1);
});

test("a secret goes in by a pipe or by the environment, works, and is never shown", async () => {
  const value = "s3cret value from a pipe";
  const put = await cli(["secrets", "put", "TOKEN", "--description", "of tests"], { stdin: `${value}\n` });
  const other = await cli(["secrets", "put", "OTHER", "--from-env", "MINE"], { env: { MINE: value } });
  const list = await cli(["secrets", "ls"]);
  expect([put.exit, other.exit, list.exit]).toEqual([0, 0, 0]);
  expect(list.json<{ secrets: { name: string }[] }>().secrets.map(({ name }) => name)).toEqual(["OTHER", "TOKEN"]);
  await deploy(
    "use",
    'nodes:\n  - { id: a, kind: transform, with: { same: "${ secrets.TOKEN == secrets.OTHER }", size: "${ size(secrets.TOKEN) }" } }\n',
  );
  const used = await cli(["run", "use", "--wait"]);
  expect(used.json()).toMatchObject({ state: "succeeded", output: { a: { same: true, size: value.length } } });
  expect([put, other, list, used].map(({ out, err }) => out + err).join("")).not.toContain("s3cret");
  expect((await cli(["secrets", "rm", "OTHER"])).exit).toBe(0);
  expect((await cli(["secrets", "rm", "OTHER"])).exit).toBe(1);
});

test("a schedule is stored from options, paused, run at once, and deleted", async () => {
  await deploy("hello", hello);
  const put = await cli([
    "schedules",
    "put",
    "daily",
    "--workflow",
    "hello",
    "--input",
    '{"name":"clock"}',
    "--cron",
    "0 6 * * *",
  ]);
  expect([put.exit, put.json()]).toMatchObject([0, { name: "daily", cron: "0 6 * * *", paused: false }]);
  expect((await cli(["schedules", "pause", "daily"])).json()).toMatchObject({ paused: true });
  const { taskId } = (await cli(["schedules", "run-now", "daily"])).json<{ taskId: string }>();
  expect((await cli(["get", taskId, "--wait"])).json()).toMatchObject({
    output: { text: "Hello, clock!" },
    labels: { schedule: "daily" },
  });
  expect((await cli(["schedules", "get", "daily"])).json()).toMatchObject({ lastRuns: [{ taskId, outcome: "started" }] });
  expect((await cli(["schedules", "rm", "daily"])).exit).toBe(0);
  expect((await cli(["schedules", "get", "daily"])).exit).toBe(1);
});

test("a limit and a connection are stored, listed and deleted", async () => {
  expect((await cli(["limits", "put", "workflow:hello", "--concurrency", "3"])).json()).toMatchObject({
    key: "workflow:hello",
    concurrency: 3,
  });
  expect((await cli(["limits", "get", "workflow:hello"])).json()).toMatchObject({ concurrency: 3, used: 0 });
  expect((await cli(["limits", "rm", "workflow:hello"])).exit).toBe(0);
  const key = "sk-s3cret-0123456789";
  const put = await cli(["connections", "put", "models", "--base-url", "https://models.test/v1", "--key-from-stdin"], {
    stdin: key,
  });
  expect([put.exit, put.json()]).toMatchObject([0, { name: "models", hasApiKey: true }]);
  expect(put.out + put.err).not.toContain("s3cret");
  expect((await cli(["connections", "ls"])).json()).toMatchObject({ connections: [{ name: "models" }] });
  expect((await cli(["connections", "rm", "models"])).exit).toBe(0);
});

test("a workflow is switched off and on, compared, and removed", async () => {
  await deploy("turn", hello);
  await deploy("turn", hello.replace("Hello", "Bye"));
  expect((await cli(["workflows", "diff", "turn"])).json()).toMatchObject({
    from: 1,
    to: 2,
    same: false,
    nodes: [{ node: "greet" }],
  });
  expect((await cli(["workflows", "revisions", "turn"])).json<{ revisions: unknown[] }>().revisions).toHaveLength(2);
  expect((await cli(["workflows", "disable", "turn"])).json()).toMatchObject({ enabled: false });
  const run = ["run", "turn", "--input", '{"name":"x"}'];
  expect((await cli(run)).exit).toBe(1);
  expect((await cli(["workflows", "enable", "turn"])).json()).toMatchObject({ enabled: true });
  expect((await cli(run)).exit).toBe(0);
  expect((await cli(["workflows", "rm", "turn"])).exit).toBe(0);
  expect((await cli(run)).exit).toBe(1);
});

test("an import from Dify prints what can be deployed, and ends with 3 where something was lost", async () => {
  const file = new URL("../packages/workflow/src/import/dify/fixtures/every-node.yml", import.meta.url).pathname;
  const imported = await cli(["import", "dify", file]);
  expect(imported.exit).toBe(3);
  expect(imported.err).toContain("something was lost");
  const piped = await cli(["deploy", "-"], { stdin: imported.out });
  expect([piped.exit, piped.json()]).toMatchObject([0, { name: imported.json<{ name: string }>().name, revision: 1 }]);
  expect((await cli(["import", "dify", "-"], { stdin: await readFile(join(folder, "hello.yaml"), "utf8") })).exit).toBe(1);
});

test("where nobody listens it ends with 4", async () => {
  const run = await longhaul(`http://127.0.0.1:${await freePort()}`, ["ls"]);
  expect([run.exit, run.out]).toEqual([4, ""]);
  expect(run.err).toContain("ECONNREFUSED");
});
