import { describe, expect, test } from "vitest";
import { runCli } from "./run-cli.ts";
import { type FakeOptions, type FakeWorld, fakeWorld, json } from "./testing/fake-world.ts";

async function run(args: readonly string[], options: FakeOptions = {}): Promise<FakeWorld & { readonly exit: number }> {
  const world = fakeWorld(options);
  return { ...world, exit: await runCli(args, world) };
}

const task = {
  id: "t1",
  state: "succeeded",
  workflow: "w",
  revision: 2,
  output: { n: 1 },
  createTime: "2026-11-21T06:05:36.123Z",
};
const refused = (code: string): Response => {
  throw new TypeError("fetch failed", { cause: Object.assign(new Error("no"), { code }) });
};

describe("wrong usage ends with 2, says why, and sends nothing", () => {
  test.each([
    [["frob"], /unknown command 'frob'/],
    [["get"], /missing required argument 'id'/],
    [["get", ".."], /no name and no id/],
    [["get", "x", "--timeout", "5s"], /--timeout belongs to --wait/],
    [["get", "x", "--wait", "--timeout", "soon"], /whole number and a unit/],
    [["run", "w", "--input", "{x"], /--input must be JSON, @file or -/],
    [["run", "w", "--input", "@gone.json"], /can't read gone\.json: ENOENT/],
    [["run", "w", "--priority", "101"], /-100 to 100/],
    [["run", "w", "--wait", "--follow"], /exclude each other/],
    [["run", "w", "--idempotency-key", "a\nb"], /printable ASCII/],
    [["ls", "--label", "x"], /key=value/],
    [["signal", "x"], /one of --name .* and --node/],
    [["signal", "x", "--name", "a", "--node", "b"], /one of --name .* and --node/],
    [["replay"], /id of a delivery, or --failed/],
    [["deploy", "nameless.yaml"], /has no name/],
    [["deploy", "torn.yaml"], /torn\.yaml:2:\d+: /],
    [["secrets", "put", "TOKEN", "value-as-argument"], /too many arguments/],
    [["secrets", "put", "TOKEN"], /value of TOKEN is empty/],
    [["secrets", "put", "TOKEN", "--from-env", "NOT_SET"], /environment has no NOT_SET/],
    [["connections", "put", "c", "--secret", "A", "--key-from-stdin"], /one of --secret/],
    [["schedules", "put", "s", "--cron", "* * * * *", "--interval", "1h"], /exclude each other/],
    [["limits", "put", "project"], /required option '--concurrency/],
    [["ls", "--url", "ftp://x"], /LONGHAUL_URL/],
  ])("%j", async (args, message) => {
    const files = { "nameless.yaml": "nodes: []", "torn.yaml": "name: a\nnodes: [" };
    const { exit, said, requests } = await run(args, { files });
    expect([exit, said.out, requests]).toEqual([2, "", []]);
    expect(said.err).toMatch(message);
  });
});

test("help is no mistake", async () => {
  const { exit, said } = await run(["run", "--help"]);
  expect(exit).toBe(0);
  expect(said.out).toContain("--idempotency-key");
});

test("a list is JSON in a pipe, a table on a terminal, and JSON there with --json, wherever that stands", async () => {
  const answers = [json({ tasks: [task], nextPageToken: "" })];
  expect(JSON.parse((await run(["ls"], { answers })).said.out)).toEqual({ tasks: [task] });
  expect(JSON.parse((await run(["ls", "--json"], { answers, isTerminal: true })).said.out)).toEqual({ tasks: [task] });
  expect(JSON.parse((await run(["--json", "ls"], { answers, isTerminal: true })).said.out)).toEqual({ tasks: [task] });
  const { said } = await run(["ls"], { answers, isTerminal: true });
  expect(said.out).toBe(
    ["ID  STATE      WORKFLOW  CREATED               WHY", "t1  succeeded  w@2       2026-11-21 06:05:36Z", ""].join("\n"),
  );
});

test("a list goes over pages up to the limit, with its conditions, and says when there is more", async () => {
  const answers = [json({ tasks: [task], nextPageToken: "p2" }), json({ tasks: [task], nextPageToken: "p3" })];
  const args = ["ls", "--state", "failed,timed_out", "--state", "queued", "--label", "team=a=b", "--limit", "2"];
  const { exit, said, requests } = await run(args, { answers });
  expect(exit).toBe(0);
  expect(requests.map(({ path }) => path)).toEqual([
    "/v1/tasks?state=failed&state=timed_out&state=queued&label.team=a%3Db&pageSize=2",
    "/v1/tasks?state=failed&state=timed_out&state=queued&label.team=a%3Db&pageSize=1&pageToken=p2",
  ]);
  expect(JSON.parse(said.out).tasks).toHaveLength(2);
  expect(said.err).toContain("--limit 20");
});

test("a refusal is shown with its code, its pointers and its mends, and ends with 1", async () => {
  const problem = {
    title: "The request is malformed",
    detail: "the definition has faults",
    code: "invalid_argument",
    errors: [{ pointer: "/nodes/0/kind", detail: "is unknown", node: "a", mend: "Use http." }],
  };
  const files = { "w.yaml": "name: w\nnodes: []" };
  const { exit, said, requests } = await run(["deploy", "w.yaml"], { files, answers: [json(problem, 400)] });
  expect([exit, said.out]).toEqual([1, ""]);
  expect(said.err).toBe(
    "longhaul: the definition has faults (400 invalid_argument)\n  /nodes/0/kind (node a): is unknown\n    Use http.\n",
  );
  expect(requests[0]).toMatchObject({ method: "PUT", path: "/v1/workflows/w", body: files["w.yaml"] });
  expect(requests[0]?.headers.get("content-type")).toBe("application/yaml");
});

test("the answer of somebody else's server is told as that, and a redirect is not followed with the key", async () => {
  const env = { LONGHAUL_API_KEY: "lh_0123456789" };
  const page = (): Response => new Response("<h1>hello</h1>", { headers: { "content-type": "text/html" } });
  expect(await run(["ls"], { env, answers: [page] })).toMatchObject({ exit: 1, said: { out: "" } });
  const moved = (): Response => new Response(null, { status: 307, headers: { location: "http://elsewhere.test/" } });
  const { exit, said, requests } = await run(["ls"], { env, answers: [moved] });
  expect([exit, requests.length, requests[0]?.redirect]).toEqual([1, 1, "manual"]);
  expect(requests[0]?.headers.get("authorization")).toBe("Bearer lh_0123456789");
  expect(said.err).toContain("is LONGHAUL_URL right?");
});

test("nobody there is 4, at once", async () => {
  const { exit, said, pauses } = await run(["ls"], { answers: [() => refused("ECONNREFUSED")] });
  expect([exit, pauses]).toEqual([4, []]);
  expect(said.err).toContain("nothing answers at http://127.0.0.1:8080 (ECONNREFUSED)");
});

test("a submit whose answer is lost is sent again with the same key and the same bytes", async () => {
  const answers = [
    () => refused("ECONNRESET"),
    json({ code: "unavailable", detail: "not now" }, 503, { "retry-after": "2" }),
    json(task, 202),
  ];
  const { exit, requests, pauses } = await run(["run", "w", "--input", "-"], { answers, stdin: '{"a":1}' });
  expect([exit, pauses]).toEqual([0, [500, 2_000]]);
  expect(new Set(requests.map(({ headers, body }) => `${headers.get("idempotency-key")} ${body}`)).size).toBe(1);
  expect(requests[0]?.headers.get("idempotency-key")).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ workflow: "w", input: { a: 1 } });
});

test("a signal whose answer is lost is not sent again", async () => {
  const { exit, requests } = await run(["signal", "t1", "--name", "go"], { answers: [() => refused("ECONNRESET")] });
  expect([exit, requests.length]).toEqual([4, 1]);
});

test("waiting ends with 0 after success, 1 after a failure, and 3 when the time is over", async () => {
  const end = (state: string) => json({ ...task, state });
  expect((await run(["run", "w", "--wait"], { answers: [json(task, 202), end("running"), end("succeeded")] })).exit).toBe(0);
  const failed = await run(["get", "t1", "--wait"], { answers: [end("failed")] });
  expect([failed.exit, JSON.parse(failed.said.out).state]).toEqual([1, "failed"]);
  const late = await run(["get", "t1", "--wait", "--timeout", "0ms"], { answers: [end("running")] });
  expect([late.exit, late.requests.length]).toEqual([3, 1]);
  expect(late.said.err).toContain("longhaul get t1 --wait");
});

test("following shows each event on a line, goes on behind the last one after a break, and ends with the task's end", async () => {
  const stream = (text: string) => (): Response => new Response(text, { headers: { "content-type": "text/event-stream" } });
  const first = `id: 1.1.0\nevent: task\ndata: ${JSON.stringify({ state: "running" })}\n\n`;
  const said = ["Hel", "lo\nwor", "ld"]
    .map((delta) => `event: progress\ndata: ${JSON.stringify({ node: "a", delta })}\n\n`)
    .join("");
  const rest = `id: 2.1.1\nevent: node\ndata: ${JSON.stringify({ path: "a", state: "failed", error: { message: "no\u001b[31m" } })}\n\n`;
  const end = `id: 3.1.1\nevent: end\ndata: ${JSON.stringify({ ...task, state: "failed" })}\n\n`;
  const answers = [stream(first + said), stream(rest + end)];
  const onTerminal = await run(["watch", "t1"], { answers, isTerminal: true });
  expect(onTerminal.exit).toBe(1);
  expect(onTerminal.said.out.split("\n").slice(0, 5)).toEqual([
    "task  running",
    "a  | Hello",
    "a  | world",
    "a  failed  no\\u001b[31m",
    "id        t1",
  ]);
  expect(onTerminal.requests.map(({ headers }) => headers.get("last-event-id"))).toEqual([null, "1.1.0"]);
  const inPipe = await run(["watch", "t1"], { answers });
  expect(
    inPipe.said.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).event),
  ).toEqual(["task", "progress", "progress", "progress", "node", "end"]);
});

test("Ctrl-C while waiting ends with 130 and says that the task goes on", async () => {
  const world = fakeWorld({
    answers: [
      json({ ...task, state: "running" }),
      () => {
        world.interrupt();
        throw new DOMException("aborted", "AbortError");
      },
    ],
  });
  expect(await runCli(["get", "t1", "--wait"], world)).toBe(130);
  expect(world.said.err).toContain("Task t1 is kept and goes on");
});

test("a secret is sent without the line break at its end, and never shown, not even when the server repeats it", async () => {
  const echo = json({ name: "TOKEN", description: "s3cret-value", value: "s3cret-value" });
  const put = await run(["secrets", "put", "TOKEN"], { stdin: "s3cret-value\n", answers: [echo] });
  expect(JSON.parse(put.requests[0]?.body ?? "")).toEqual({ value: "s3cret-value" });
  expect(put.said.out).toContain("[secret]");
  const env = { K: "s3cret-value", LONGHAUL_API_KEY: "lh_s3cret-key" };
  const no = json({ code: "invalid_argument", detail: "bad s3cret-value and lh_s3cret-key" }, 400);
  const refusal = await run(["connections", "put", "c", "--key-from-env", "K"], { env, answers: [no] });
  expect(JSON.parse(refusal.requests[0]?.body ?? "")).toEqual({ apiKey: "s3cret-value" });
  expect(refusal.exit).toBe(1);
  expect(put.said.out + put.said.err + refusal.said.out + refusal.said.err).not.toContain("s3cret");
});

test("a schedule is made of its file, and options win over it", async () => {
  const files = { "s.yaml": "workflow: a\ncron: 0 6 * * *\npriority: 3\n" };
  const { requests } = await run(["schedules", "put", "s", "s.yaml", "--workflow", "b", "--catch-up", "90s"], {
    files,
    answers: [json({})],
  });
  expect(requests[0]?.path).toBe("/v1/schedules/s");
  expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ workflow: "b", cron: "0 6 * * *", priority: 3, catchUp: "90s" });
});

test("a limit's key with a colon stays one part of the path", async () => {
  const { requests } = await run(["limits", "put", "workflow:a", "--concurrency", "3"], { answers: [json({})] });
  expect(requests[0]).toMatchObject({ method: "PUT", path: "/v1/limits/workflow%3Aa", body: '{"concurrency":3}' });
});

test("cancelling tells what is missing and ends with 1", async () => {
  const { exit, said, requests } = await run(["cancel", "t1", "t2"], {
    answers: [json({ tasks: [{ ...task, state: "cancelled" }], missing: ["t2"] })],
  });
  expect(exit).toBe(1);
  expect(said.err).toBe("there is no task t2\n");
  expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ ids: ["t1", "t2"], reason: "" });
});

test("an import prints the definition alone, reports beside it, and ends with 3 when something was lost", async () => {
  const report = {
    app: "A",
    version: "0.5.0",
    complete: false,
    nodes: [],
    changed: [],
    lost: [{ what: "memory", reason: "is not kept", mend: "Do without." }],
  };
  const files = { "app.yml": "kind: app" };
  const answer = { definition: { name: "a" }, report, valid: true, errors: [] };
  const lost = await run(["import", "dify", "app.yml"], { files, answers: [json(answer)] });
  expect([lost.exit, JSON.parse(lost.said.out)]).toEqual([3, { name: "a" }]);
  expect(lost.said.err).toContain("lost: memory: is not kept");
  const whole = await run(["import", "dify", "app.yml"], {
    files,
    answers: [json({ ...answer, report: { ...report, complete: true, lost: [] } })],
  });
  expect(whole.exit).toBe(0);
});

test("a definition is tried out only when it has no faults", async () => {
  const files = { "w.yaml": "name: w\nnodes: []" };
  const args = ["validate", "w.yaml", "--input", "{}"];
  const bad = await run(args, { files, answers: [json({ valid: false, errors: [{ pointer: "/nodes", message: "is empty" }] })] });
  expect([bad.exit, bad.requests.length]).toEqual([1, 1]);
  const dryRun = { nodes: [], errors: [], failsAt: "", complete: false };
  const tried = await run(args, {
    files,
    answers: [json({ valid: true, errors: [] }), json({ valid: true, errors: [], dryRun })],
  });
  expect(tried.exit).toBe(3);
  expect(JSON.parse(tried.requests[1]?.body ?? "")).toEqual({ definition: { name: "w", nodes: [] }, input: {}, recorded: {} });
});

test("an answer that makes no sense ends with 1 and is told without the key", async () => {
  const torn = (): Response =>
    new Response("id: 1\nevent: task\ndata: {lh_0123456789\n\n", { headers: { "content-type": "text/event-stream" } });
  const { exit, said } = await run(["watch", "t1"], { env: { LONGHAUL_API_KEY: "lh_0123456789" }, answers: [torn] });
  expect([exit, said.out]).toEqual([1, ""]);
  expect(said.err).toContain("please report it");
  expect(said.err).not.toContain("lh_0123456789");
});
