import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { hasEnded, type Problem, type SseEvent, type TaskView } from "./src/api.ts";
import { silence } from "./src/outside.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start());
  const gates: (() => void)[] = [];
  /** Holds the calls to a path until let go. */
  const gate = (path: string): (() => void) => {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    at.outside.answer(path, async () => {
      await opened;
      return { from: path };
    });
    gates.push(open);
    return open;
  };
  afterEach(() => {
    for (const open of gates.splice(0)) open();
  });

  const echo = {
    name: "echo",
    nodes: [{ id: "say", kind: "transform", with: { said: "${ input }" } }],
    output: "${ nodes.say.said }",
  };
  const httpOf = (name: string, path: string) => ({
    name,
    nodes: [
      { id: "first", kind: "transform", with: { n: 1 } },
      { id: "call", kind: "http", needs: ["first"], with: { url: `${at.outside.url}${path}` } },
      { id: "last", kind: "transform", needs: ["call"], with: { got: "${ nodes.call.body }" } },
    ],
    output: "${ nodes.last.got }",
  });

  test("a submit answers 202 with where to go on, and a poll finds the result", async () => {
    await at.api.put(echo);
    const input = { text: "héllo", list: [1, 2.5, null, true], nested: { a: {} } };
    const reply = await at.api.call("/v1/tasks", { body: { workflow: "echo", input, labels: { team: "a" }, priority: 7 } });
    expect(reply.status).toBe(202);
    expect(reply.headers["retry-after"]).toMatch(/^\d+$/);
    expect(reply.headers["content-type"]).toBe("application/json");
    const accepted = reply.json<TaskView>();
    expect(accepted.id).toMatch(uuid);
    expect(reply.headers["location"]).toBe(`/v1/tasks/${accepted.id}`);
    expect(accepted).toMatchObject({
      project: "default",
      workflow: "echo",
      revision: 1,
      input,
      labels: { team: "a" },
      priority: 7,
    });
    expect(accepted.createTime).toMatch(rfc3339);
    expect(accepted.links).toMatchObject({ self: `/v1/tasks/${accepted.id}`, events: `/v1/tasks/${accepted.id}/events` });

    let task = await at.api.get(accepted.id);
    while (!hasEnded(task)) task = await at.api.get(accepted.id);
    expect(task).toMatchObject({ state: "succeeded", output: input, input, attempt: 1 });
    expect(task).not.toHaveProperty("error");
    expect(task.endTime).toMatch(rfc3339);
    for (const link of ["self", "nodes", "deliveries"]) expect((await at.api.call(task.links[link] ?? "")).status).toBe(200);
  });

  test("Prefer: wait answers a submit with the ended task, and 202 when the time is too short", async () => {
    await at.api.put(echo);
    const done = await at.api.call("/v1/tasks", { headers: { prefer: "wait=30" }, body: { workflow: "echo", input: 5 } });
    expect([done.status, done.headers["preference-applied"]]).toEqual([200, "wait=30"]);
    expect(done.json()).toMatchObject({ state: "succeeded", output: 5, input: 5 });

    const open = gate("/slow-wait");
    await at.api.put(httpOf("slow-wait", "/slow-wait"));
    const early = await at.api.call("/v1/tasks", { headers: { prefer: "wait=1" }, body: { workflow: "slow-wait" } });
    expect(early.status).toBe(202);
    open();
    expect((await at.api.ended(early.json<TaskView>().id)).output).toEqual({ from: "/slow-wait" });
  });

  test("a long poll waits for the next version, answers 304 when there is none, and the ETag says which", async () => {
    const open = gate("/poll");
    await at.api.put(httpOf("poll", "/poll"));
    const { id } = await at.api.submit({ workflow: "poll" });
    await at.outside.called((call) => call.path === "/poll");
    const running = await at.api.call(`/v1/tasks/${id}`);
    const etag = String(running.headers["etag"]);
    expect(etag).toMatch(/^"\d+"$/);
    expect(running.json()).toMatchObject({ state: "running" });
    const unchanged = await at.api.call(`/v1/tasks/${id}`, { headers: { "if-none-match": etag, prefer: "wait=1" } });
    expect([unchanged.status, unchanged.headers["etag"], unchanged.text]).toEqual([304, etag, ""]);
    const waiting = at.api.call(`/v1/tasks/${id}`, { headers: { "if-none-match": etag, prefer: "wait=30" } });
    open();
    const changed = await waiting;
    expect(changed.status).toBe(200);
    expect(changed.json()).toMatchObject({ state: "succeeded", output: { from: "/poll" } });
    const known = await at.api.call(`/v1/tasks/${id}`, { headers: { "if-none-match": String(changed.headers["etag"]) } });
    expect(known.status).toBe(304);
  });

  test("the event stream tells the task's way to its end, and resumes behind any event it sent", async () => {
    const open = gate("/stream");
    await at.api.put(httpOf("stream", "/stream"));
    const { id } = await at.api.submit({ workflow: "stream" });
    const events: SseEvent[] = [];
    for await (const event of at.api.events(id)) {
      events.push(event);
      if (event.event === "node") open();
    }
    expect(events.at(-1)).toMatchObject({ event: "end", data: { state: "succeeded", output: { from: "/stream" } } });
    expect(events.filter((one) => one.event === "end")).toHaveLength(1);
    const nodeNames = (some: readonly SseEvent[]) =>
      some.flatMap((one) =>
        one.event === "node" ? [`${(one.data as { path: string }).path}:${(one.data as { state: string }).state}`] : [],
      );
    for (const path of ["first", "call", "last"]) expect(nodeNames(events)).toContain(`${path}:succeeded`);
    const withId = events.filter((one) => one.id !== undefined);
    for (const event of withId) expect(event.id).toMatch(/^\d+\.\d+\.-?\d+$/);

    for (const [i, event] of withId.entries()) {
      const rest: SseEvent[] = [];
      for await (const one of at.api.events(id, event.id)) rest.push(one);
      const missed = nodeNames(withId.slice(i + 1)).filter((one) => one.endsWith("succeeded"));
      expect(nodeNames(rest)).toEqual(expect.arrayContaining(missed));
      // Ids of one report are alike but on its last run, so at most that report comes again.
      expect(nodeNames(rest).length).toBeLessThanOrEqual(missed.length + 3);
      expect(rest.at(-1)?.event).toBe("end");
    }
  });

  test("a stream that is broken off and resumed misses no node and no end", async () => {
    const open = gate("/resume");
    await at.api.put(httpOf("resume", "/resume"));
    const { id } = await at.api.submit({ workflow: "resume" });
    let last: string | undefined;
    const seen = new Set<string>();
    const note = (event: SseEvent): void => {
      if (event.id !== undefined) last = event.id;
      if (event.event === "node") seen.add(`${(event.data as { path: string }).path}:${(event.data as { state: string }).state}`);
    };
    for await (const event of at.api.events(id)) {
      note(event);
      if (event.event === "node") break;
    }
    open();
    await at.api.ended(id);
    const rest: string[] = [];
    for await (const event of at.api.events(id, last)) {
      note(event);
      rest.push(event.event);
    }
    expect(rest.at(-1)).toBe("end");
    expect([...seen]).toEqual(expect.arrayContaining(["first:succeeded", "call:succeeded", "last:succeeded"]));
  });

  test("batchGet answers in the order asked for and names what is missing", async () => {
    await at.api.put(echo);
    const ids: string[] = [];
    for (const n of [1, 2, 3]) ids.push((await at.api.submit({ workflow: "echo", input: n }, { prefer: "wait=30" })).id);
    const missing = "01900000-0000-7000-8000-000000000000";
    const asked = [ids[2], missing, ids[0], ids[1]];
    const got = (await at.api.call("/v1/tasks:batchGet", { body: { ids: asked } })).json<{
      tasks: TaskView[];
      missing: string[];
    }>();
    expect(got.tasks.map((task) => task.id)).toEqual([ids[2], ids[0], ids[1]]);
    expect(got.tasks.map((task) => task.output)).toEqual([3, 1, 2]);
    expect(got.missing).toEqual([missing]);
  });

  test("lists are filtered by state, workflow, label, words, id and time, and pages show each task once", async () => {
    await at.api.put({ ...echo, name: "listed" });
    await at.api.put(httpOf("listed-slow", "/hold/list"));
    const made: TaskView[] = [];
    for (let n = 0; n < 7; n++) {
      made.push(
        await at.api.submit(
          {
            workflow: "listed",
            input: { note: `zebra number${n}` },
            labels: { parity: n % 2 === 0 ? "even" : "odd", app: "list" },
          },
          { prefer: "wait=30" },
        ),
      );
    }
    const running = await at.api.submit({ workflow: "listed-slow", labels: { app: "list" } });
    await at.outside.called((call) => call.path === "/hold/list");
    const ids = (tasks: readonly TaskView[]) => tasks.map((task) => task.id);
    const newestFirst = ids(made).reverse();

    expect(ids(await at.api.list("workflow=listed"))).toEqual(newestFirst);
    expect(ids(await at.api.list("workflow=listed&pageSize=2"))).toEqual(newestFirst);
    expect(ids(await at.api.list("label.app=list"))).toEqual([running.id, ...newestFirst]);
    expect(ids(await at.api.list("label.app=list&state=running"))).toEqual([running.id]);
    expect(ids(await at.api.list("label.app=list&state=running&state=succeeded&pageSize=3"))).toEqual([
      running.id,
      ...newestFirst,
    ]);
    expect(ids(await at.api.list("label.app=list&state=failed,cancelled"))).toEqual([]);
    expect(ids(await at.api.list("label.app=list&label.parity=odd"))).toEqual(newestFirst.filter((_, i) => i % 2 === 1));
    expect(ids(await at.api.list("workflow=listed&state=succeeded&label.parity=even&pageSize=1"))).toHaveLength(4);
    expect(ids(await at.api.list(`q=${made[3]?.id}`))).toEqual([made[3]?.id]);
    expect(ids(await at.api.list("workflow=listed&q=zebra%20number4"))).toEqual([made[4]?.id]);
    expect(ids(await at.api.list("workflow=listed&q=zebra"))).toEqual(newestFirst);
    expect(ids(await at.api.list("workflow=listed&q=antelope"))).toEqual([]);
    const from = made[5]?.createTime ?? "";
    const since = await at.api.list(`workflow=listed&createdAfter=${encodeURIComponent(from)}`);
    expect(since.every((task) => task.createTime >= from)).toBe(true);
    expect(ids(since)).toEqual(expect.arrayContaining([made[5]?.id, made[6]?.id]));
    expect(ids(await at.api.list("workflow=nobody"))).toEqual([]);
    await at.api.call(`/v1/tasks/${running.id}:cancel`, { body: {} });
  });

  test("node runs are listed in order, with what they received and gave; a skipped node says so", async () => {
    at.outside.answer("/nodes", (call) => ({ got: JSON.parse(call.body) }));
    await at.api.put({
      name: "nodes",
      nodes: [
        { id: "a", kind: "transform", with: { v: "${ input.v + 1 }" } },
        { id: "b", kind: "http", needs: ["a"], with: { method: "POST", url: `${at.outside.url}/nodes`, json: "${ nodes.a }" } },
        { id: "never", kind: "transform", needs: ["a"], when: "${ nodes.a.v > 100 }", with: {} },
        { id: "after", kind: "transform", needs: ["never"], with: {} },
      ],
      output: { status: "${ nodes.b.status }", got: "${ nodes.b.body.got.v }" },
    });
    const { id } = await at.api.submit({ workflow: "nodes", input: { v: 41 } });
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { status: 200, got: 42 } });
    const nodes = await at.api.nodes(id);
    const states = Object.fromEntries(nodes.map((node) => [node.path, node.state]));
    expect(states).toEqual({ a: "succeeded", b: "succeeded", never: "skipped", after: "skipped" });
    expect(nodes.find((node) => node.path === "a")?.output).toEqual({ v: 42 });
    const call = await at.outside.called((one) => one.path === "/nodes");
    expect(call.key).toMatch(/^[0-9a-f-]{36}$/);
    expect(at.outside.keysOf("/nodes").size).toBe(1);
  });

  test("a retry makes a new task that goes on behind what is stored: the call of a finished node is not made again", async () => {
    let broken = true;
    at.outside.answer("/retry/second", () => (broken ? 404 : { ok: true }));
    at.outside.answer("/retry/first", () => ({ n: 12 }));
    await at.api.put({
      name: "retried",
      nodes: [
        { id: "first", kind: "http", with: { method: "POST", url: `${at.outside.url}/retry/first` } },
        { id: "second", kind: "http", needs: ["first"], with: { url: `${at.outside.url}/retry/second`, acceptStatus: [200] } },
      ],
      output: { n: "${ nodes.first.body.n }", ok: "${ nodes.second.body.ok }" },
    });
    const { id } = await at.api.submit({ workflow: "retried", labels: { keep: "me" } });
    expect(await at.api.ended(id)).toMatchObject({ state: "failed", error: { node: "second" } });
    broken = false;
    const reply = await at.api.call(`/v1/tasks/${id}:retry`, { body: {} });
    expect(reply.status).toBe(202);
    const again = reply.json<TaskView>();
    expect(again).toMatchObject({ retryOf: id, labels: { keep: "me" } });
    expect(again.id).not.toBe(id);
    expect(reply.headers["location"]).toBe(`/v1/tasks/${again.id}`);
    expect(await at.api.ended(again.id)).toMatchObject({ state: "succeeded", output: { n: 12, ok: true } });
    expect(at.outside.calls.filter((call) => call.path === "/retry/first")).toHaveLength(1);
    expect(await at.api.get(id)).toMatchObject({ state: "failed" });

    const refused = await at.api.call(`/v1/tasks/${again.id}:retry`, { body: {} });
    expect([refused.status, refused.json<Problem>().code]).toEqual([409, "conflict"]);
  });

  test("one idempotency key on retries makes one new task", async () => {
    at.outside.answer("/retry-key", () => 404);
    await at.api.put({
      name: "retry-key",
      nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/retry-key`, acceptStatus: [200] } }],
    });
    const { id } = await at.api.submit({ workflow: "retry-key" });
    await at.api.ended(id);
    const replies = await Promise.all(
      Array.from({ length: 8 }, () =>
        at.api.call(`/v1/tasks/${id}:retry`, { headers: { "idempotency-key": "again" }, body: {} }),
      ),
    );
    expect(new Set(replies.map((reply) => reply.status))).toEqual(new Set([202]));
    expect(new Set(replies.map((reply) => reply.json<TaskView>().id)).size).toBe(1);
    expect(await at.api.list("workflow=retry-key")).toHaveLength(2);
  });

  test("notBefore holds a task back until its time, and it says that it waits for it", async () => {
    await at.api.put(echo);
    const notBefore = new Date(Date.now() + 1_500).toISOString();
    const task = await at.api.submit({ workflow: "echo", input: 1, notBefore });
    expect(task).toMatchObject({ state: "queued", waitingFor: { kind: "start_time" }, notBefore });
    const ended = await at.api.ended(task.id);
    expect(ended.state).toBe("succeeded");
    expect(Date.parse(ended.startTime ?? "")).toBeGreaterThanOrEqual(Date.parse(notBefore));
    expect(Date.parse(ended.startTime ?? "")).toBeLessThan(Date.parse(notBefore) + 1_500);
  });

  test("a deadline ends a running task as timed_out and aborts its call; the limit of the workflow does as well", async () => {
    await at.api.put(httpOf("deadline", "/hold/deadline"));
    const { id } = await at.api.submit({ workflow: "deadline", deadline: new Date(Date.now() + 1_500).toISOString() });
    const call = await at.outside.called((one) => one.path === "/hold/deadline");
    const ended = await at.api.ended(id);
    expect(ended).toMatchObject({ state: "timed_out", error: { code: "deadline_exceeded" } });
    expect(Date.parse(ended.endTime ?? "") - Date.parse(ended.deadline)).toBeLessThan(1_500);
    await at.outside.hungUp(call, 2_000);

    await at.api.put({ ...httpOf("limited", "/hold/limited"), limits: { deadline: "1s" } });
    const limited = await at.api.submit({ workflow: "limited", deadline: new Date(Date.now() + 60_000).toISOString() });
    expect(await at.api.ended(limited.id, 10_000)).toMatchObject({ state: "timed_out" });
  });

  test("node retries, timeouts and failures come out as the definition says", async () => {
    let calls = 0;
    at.outside.answer("/flaky", () => (++calls < 3 ? 503 : { after: calls }));
    at.outside.answer("/dead", () => 500);
    at.outside.answer("/mute", () => silence);
    await at.api.put({
      name: "flaky",
      nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/flaky` }, retry: { attempts: 4, delay: "20ms" } }],
      output: "${ nodes.x.body.after }",
    });
    expect(await at.api.ended((await at.api.submit({ workflow: "flaky" })).id)).toMatchObject({ state: "succeeded", output: 3 });
    expect(at.outside.keysOf("/flaky").size).toBe(1);

    await at.api.put({
      name: "dead",
      nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/dead` }, retry: { attempts: 2, delay: "20ms" } }],
    });
    const dead = await at.api.ended((await at.api.submit({ workflow: "dead" })).id);
    expect(dead).toMatchObject({ state: "failed", error: { node: "x" } });
    expect(at.outside.calls.filter((call) => call.path === "/dead")).toHaveLength(2);

    await at.api.put({
      name: "mute",
      nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/mute` }, timeout: "200ms" }],
    });
    const mute = await at.api.ended((await at.api.submit({ workflow: "mute" })).id);
    expect(mute).toMatchObject({ state: "failed", error: { code: "node_timeout", node: "x" } });

    await at.api.put({ name: "broken", nodes: [{ id: "x", kind: "transform", with: { v: "${ input.a.b.c }" } }] });
    const broken = await at.api.ended((await at.api.submit({ workflow: "broken", input: {} })).id);
    expect(broken).toMatchObject({ state: "failed", error: { code: "node_failed", node: "x" } });
    expect((await at.api.nodes(broken.id))[0]?.error).toMatchObject({ code: "expression_error" });

    await at.api.put({
      name: "broken-output",
      nodes: [{ id: "x", kind: "transform", with: {} }],
      output: "${ nodes.x.missing }",
    });
    const output = await at.api.ended((await at.api.submit({ workflow: "broken-output" })).id);
    expect(output).toMatchObject({ state: "failed", error: { code: "expression_error" } });
  });

  test("values far larger than a header come through whole, as input, between nodes and as output", async () => {
    const text = createHash("sha512").update("seed").digest("hex").repeat(8_192);
    at.outside.answer("/large", (call) => ({ echoed: JSON.parse(call.body).text }));
    await at.api.put({
      name: "large",
      nodes: [
        { id: "call", kind: "http", with: { method: "POST", url: `${at.outside.url}/large`, json: { text: "${ input.text }" } } },
        { id: "pass", kind: "transform", needs: ["call"], with: { text: "${ nodes.call.body.echoed }" } },
      ],
      output: "${ nodes.pass }",
    });
    const { id } = await at.api.submit({ workflow: "large", input: { text } });
    const task = await at.api.ended(id);
    expect(task.state).toBe("succeeded");
    expect((task.output as { text: string }).text === text).toBe(true);
    expect((task.input as { text: string }).text === text).toBe(true);
  });

  test("a task keeps the revision it was submitted with; a changed definition makes the next", async () => {
    const name = "revised";
    await at.api.put({ name, nodes: [{ id: "x", kind: "transform", with: { v: 1 } }], output: "${ nodes.x.v }" });
    const delayed = await at.api.submit({ workflow: name, notBefore: new Date(Date.now() + 800).toISOString() });
    await at.api.put({ name, nodes: [{ id: "x", kind: "transform", with: { v: 2 } }], output: "${ nodes.x.v }" });
    const next = await at.api.submit({ workflow: name });
    const old = await at.api.submit({ workflow: name, revision: 1 });
    expect(await at.api.ended(next.id)).toMatchObject({ revision: 2, output: 2 });
    expect(await at.api.ended(old.id)).toMatchObject({ revision: 1, output: 1 });
    expect(await at.api.ended(delayed.id)).toMatchObject({ revision: 1, output: 1 });
    const revisions = (await at.api.call(`/v1/workflows/${name}/revisions`)).json<{ revisions: { revision: number }[] }>();
    expect(revisions.revisions.map((one) => one.revision)).toEqual([2, 1]);
  });
});
