import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { inProcessLive } from "@longhaul/adapters/in-process";
import { LonghaulError, type Task } from "@longhaul/core";
import { JobVerdict } from "@longhaul/proto/worker_service";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { acme, jsonOf, progress, type StartedScheduler, startScheduler, stepsOf, success } from "../testing/start-scheduler.ts";

const definition = { name: "call", nodes: [{ id: "a", kind: "worker", with: { function: "resize" } }] };
const hourMs = 3_600_000;
const jobId = "019a0000-0000-8000-8000-00000000000a";
const other = { headers: { ...acme.headers, "longhaul-project": "other" } };

let at: StartedScheduler;
const pass = stepsOf((ms) => vi.advanceTimersByTimeAsync(ms));

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"] });
  at = await startScheduler();
  await at.workflows.put({ name: "call", definition: JSON.parse(JSON.stringify(definition)) }, acme);
});
afterEach(async () => {
  await at.stop();
  vi.useRealTimers();
});

async function held(): Promise<string> {
  const id = await at.accepted({ workflow: "call" });
  expect(await at.claim(id)).toBe(true);
  return id;
}

const submitJob = (taskId: string, more: object = {}) =>
  at.execution.submitJob({
    hold: { taskId, attempt: 1, project: "acme" },
    executor: "executor-1",
    node: "a",
    function: "resize",
    inputJson: jsonOf({ n: 1, key: "hunter2" }),
    jobId,
    deadline: timestampFromMs(Date.now() + hourMs),
    ...more,
  });

const poll = (worker: string, seconds = 0, signal?: AbortSignal) =>
  at.workers.poll(
    { worker, functions: [{ name: "resize", capacity: 1 }], wait: { seconds: BigInt(seconds) } },
    { ...acme, timeoutMs: 90_000, ...(signal && { signal }) },
  );

async function leased(worker = "w1") {
  const { jobs } = await poll(worker);
  const [job] = jobs;
  if (job === undefined) throw new Error("there is no job");
  return job;
}

const inboxOf = async (id: string): Promise<Task["inbox"]> => (await at.task(id)).inbox;
const answerOf = async (id: string): Promise<unknown> => {
  const payload = (await inboxOf(id))?.[0]?.payload;
  return payload?.kind === "inline" ? JSON.parse(payload.json) : payload;
};

test("a job is stored sealed, goes to one worker, and its answer is with the task before it is acknowledged", async () => {
  const id = await held();
  await submitJob(id);
  await submitJob(id);
  const stored = await at.stores.jobs.listOfTask("acme", id, 10);
  expect(stored).toHaveLength(1);
  expect(JSON.stringify(stored)).not.toContain("hunter2");
  const answers = await Promise.all(["w1", "w2", "w3"].map((worker) => poll(worker)));
  const [job, ...more] = answers.flatMap(({ jobs }) => jobs);
  expect(more).toEqual([]);
  expect(job).toMatchObject({ id: jobId, function: "resize", node: "a", taskId: id, tries: 1, fence: 1n });
  await at.workers.complete({ id: jobId, fence: 1n, output: { kind: { case: "stringValue", value: "done" } } }, acme);
  expect(await answerOf(id)).toEqual({ job: jobId, output: "done" });
  // Once more, and asked for again by an executor that did not see the answer.
  await at.workers.complete({ id: jobId, fence: 1n }, acme);
  await submitJob(id);
  expect(await inboxOf(id)).toHaveLength(1);
  expect((await poll("w1")).jobs).toEqual([]);
});

test("an answer whose job could not be ended brings the answer once, however often it is given again", async () => {
  const id = await held();
  await submitJob(id);
  const { fence } = await leased();
  const { replace } = at.stores.jobs;
  const away = vi.spyOn(at.stores.jobs, "replace").mockRejectedValueOnce(new LonghaulError("unavailable", "the store is away"));
  await expect(at.workers.complete({ id: jobId, fence }, acme)).rejects.toMatchObject({ code: "unavailable" });
  away.mockImplementation(replace);
  expect(await inboxOf(id)).toHaveLength(1);
  // The executor that asks again, not knowing that it was answered, gets no second job.
  await submitJob(id);
  await at.workers.complete({ id: jobId, fence }, acme);
  expect(await inboxOf(id)).toHaveLength(1);
  expect((await at.stores.jobs.get([{ project: "acme", id: jobId }]))[0]?.job.state).toBe("done");
});

test("a job whose node could not be told that its workers were lost is told later, and no worker gets it meanwhile", async () => {
  const id = await held();
  await submitJob(id);
  for (let tries = 1; tries <= 3; tries++) {
    await leased();
    if (tries === 3) vi.spyOn(at.stores.tasks, "getNodeRuns").mockRejectedValueOnce(new LonghaulError("unavailable", "away"));
    await pass(16_000);
  }
  expect(await inboxOf(id)).toBeUndefined();
  expect((await poll("w4")).jobs).toEqual([]);
  await pass(20_000);
  expect(await answerOf(id)).toMatchObject({ error: { code: "worker_lost" } });
});

test("a poll that waits is woken by a job, and says for a minute that the function is served", async () => {
  const id = await held();
  const waiting = poll("w1", 60);
  await submitJob(id);
  expect((await waiting).jobs).toHaveLength(1);
});

test("a poll that nobody hears of any more keeps no job", async () => {
  const id = await held();
  const gone = new AbortController();
  const waiting = poll("w1", 60, gone.signal).catch(() => undefined);
  await pass(0);
  gone.abort();
  await waiting;
  await submitJob(id);
  await pass(0);
  expect(await leased("w2")).toMatchObject({ tries: 1 });
});

test("only the holder of a task may give a job for it", async () => {
  const id = await held();
  await expect(submitJob(id, { executor: "executor-2" })).rejects.toMatchObject({ code: "precondition_failed" });
  await expect(submitJob(id, { jobId: "x" })).rejects.toMatchObject({ code: "invalid_argument" });
  await submitJob(id);
  await expect(submitJob(id, { node: "b" })).rejects.toMatchObject({ code: "invalid_argument" });
  expect(await at.stores.jobs.listOfTask("acme", id, 10)).toHaveLength(1);
});

test("another project neither gets a job nor can answer it", async () => {
  const id = await held();
  await submitJob(id);
  const { jobs } = await at.workers.poll({ worker: "w", functions: [{ name: "resize", capacity: 9 }] }, other);
  expect(jobs).toEqual([]);
  const job = await leased();
  await expect(at.workers.complete({ id: job.id, fence: job.fence }, other)).rejects.toMatchObject({ code: "not_found" });
});

test("a lease that is not kept goes to another worker under a higher fence, and the first one's answer is refused", async () => {
  const id = await held();
  await submitJob(id);
  const first = await leased("w1");
  await pass(10_000);
  const kept = await at.workers.heartbeat({ jobs: [{ id: first.id, fence: first.fence }] }, acme);
  expect(kept.jobs).toMatchObject([{ verdict: JobVerdict.CONTINUE }]);
  await pass(10_000);
  expect((await poll("w2")).jobs).toEqual([]);
  await pass(6_000);
  const second = await leased("w2");
  expect(second).toMatchObject({ id: first.id, fence: 2n, tries: 2 });
  await expect(at.workers.complete({ id: first.id, fence: first.fence }, acme)).rejects.toMatchObject({ code: "conflict" });
  await expect(at.workers.log({ id: first.id, fence: first.fence, lines: ["x"] }, acme)).rejects.toMatchObject({
    code: "conflict",
  });
  const told = await at.workers.heartbeat({ jobs: [{ id: first.id, fence: first.fence }] }, acme);
  expect(told.jobs).toMatchObject([{ verdict: JobVerdict.LOST }]);
  expect(await inboxOf(id)).toBeUndefined();
  await at.workers.complete({ id: second.id, fence: second.fence }, acme);
  expect(await answerOf(id)).toEqual({ job: jobId, output: null });
  await expect(at.workers.complete({ id: first.id, fence: first.fence }, acme)).rejects.toMatchObject({ code: "conflict" });
});

test("a job that was given back waits again at once and has used up no try", async () => {
  const id = await held();
  await submitJob(id);
  for (let fence = 1n; fence <= 6n; fence++) {
    const job = await leased();
    expect(job).toMatchObject({ fence, tries: 1 });
    const back = await at.workers.release({ jobs: [{ id: job.id, fence }] }, acme);
    expect(back.jobs).toMatchObject([{ verdict: JobVerdict.CONTINUE }]);
  }
});

test("a job that loses every worker fails as worker_lost", async () => {
  const id = await held();
  await submitJob(id);
  for (let tries = 1; tries <= 3; tries++) {
    expect(await leased(`w${tries}`)).toMatchObject({ tries });
    await pass(16_000);
  }
  expect(await answerOf(id)).toMatchObject({ job: jobId, error: { code: "worker_lost", retryable: false } });
  expect((await poll("w4")).jobs).toEqual([]);
  await pass(700_000);
  expect(await at.stores.jobs.listOfTask("acme", id, 10)).toEqual([]);
});

test("a failure arrives with the worker's code, words and log", async () => {
  const id = await held();
  await submitJob(id);
  const { fence } = await leased();
  await at.workers.log({ id: jobId, fence, lines: ["one", "two"] }, acme);
  await at.workers.fail(
    { id: jobId, fence, error: { code: "bad_image", message: "no pixels", retryable: true, details: { at: 3 } } },
    acme,
  );
  expect(await answerOf(id)).toMatchObject({
    job: jobId,
    error: { code: "bad_image", message: "no pixels", retryable: true, details: { at: 3 } },
    log: [{ line: "one" }, { line: "two" }],
  });
});

test("the answer to a node that works with secrets lies sealed until the executor reads it, and nothing said meanwhile is shown", async () => {
  const id = await held();
  await submitJob(id, { withheld: true });
  const { fence } = await leased();
  await at.workers.log({ id: jobId, fence, lines: ["hunter2"] }, acme);
  await at.workers.complete({ id: jobId, fence, output: { kind: { case: "stringValue", value: "hunter2" } } }, acme);
  const payload = (await inboxOf(id))?.[0]?.payload;
  if (payload?.kind !== "stored") throw new Error("the answer lies in the header");
  expect(JSON.stringify(await at.stores.payloads.get([payload.key]))).not.toContain("hunter2");
  const { json } = await at.execution.readPayload({ key: payload.key, project: "acme" });
  expect(JSON.parse(Buffer.from(json).toString())).toEqual({ job: jobId, output: "hunter2" });
});

test("a cancelled task takes its jobs with it: a worker that waits hears at once, a queued one is never given", async () => {
  const id = await held();
  await submitJob(id);
  await submitJob(id, { jobId: "019a0000-0000-8000-8000-00000000000b", node: "b", function: "later" });
  const { fence } = await leased();
  const hearing = at.workers.heartbeat({ jobs: [{ id: jobId, fence }], wait: { seconds: 60n } }, { ...acme, timeoutMs: 90_000 });
  await pass(0);
  await at.tasks.cancel({ id }, acme);
  expect((await hearing).jobs).toMatchObject([{ verdict: JobVerdict.CANCELLED }]);
  expect(await at.stores.jobs.listOfTask("acme", id, 10)).toEqual([]);
  await expect(at.workers.complete({ id: jobId, fence }, acme)).rejects.toMatchObject({ code: "not_found" });
});

test("a job whose task ended without telling is removed instead of given", async () => {
  const id = await held();
  await submitJob(id);
  await at.report(id, { outcome: success({}) });
  expect((await poll("w1")).jobs).toEqual([]);
  expect(await at.stores.jobs.listOfTask("acme", id, 10)).toEqual([]);
});

test("a job ends with the time of its node", async () => {
  const id = await held();
  await submitJob(id, { deadline: timestampFromMs(Date.now() + 5_000) });
  const { fence } = await leased();
  const hearing = at.workers.heartbeat({ jobs: [{ id: jobId, fence }], wait: { seconds: 60n } }, { ...acme, timeoutMs: 90_000 });
  await pass(6_000);
  expect((await hearing).jobs).toMatchObject([{ verdict: JobVerdict.CANCELLED }]);
});

test("a task that waits for a function says when no worker has asked for it in the last minute", async () => {
  const id = await held();
  await submitJob(id);
  const waits = [{ kind: "worker", node: "a", name: "resize", reason: "It waits.", since: timestampFromMs(Date.now()) }];
  await at.report(id, { outcome: { case: "wait", value: { waits, waitCount: 1, seen: 0n } } as never });
  const reason = async () => (await at.tasks.get({ id }, acme)).task?.waitingFor?.reason;
  expect(await reason()).toBe("It waits.");
  await pass(61_000);
  expect(await reason()).toMatch(/^It waits\. No worker has asked for function "resize"/);
  await at.workers.poll({ worker: "w", functions: [{ name: "resize", capacity: 0 }] }, acme);
  expect(await reason()).toBe("It waits.");
  expect((await at.tasks.list({}, acme)).tasks[0]?.waits[0]?.reason).toBe("It waits.");
});

test.each([
  { worker: "", functions: [{ name: "a", capacity: 1 }] },
  { worker: "w", functions: [] },
  { worker: "w", functions: [{ name: "a/b", capacity: 1 }] },
  { worker: "w", functions: [{ name: "a", capacity: 101 }] },
  {
    worker: "w",
    functions: [
      { name: "a", capacity: 1 },
      { name: "a", capacity: 1 },
    ],
  },
])("a poll that makes no sense is refused: %j", async (request) => {
  await expect(at.workers.poll(request, acme)).rejects.toMatchObject({ code: "invalid_argument" });
});

test("calls that make no sense are refused and change nothing", async () => {
  const id = await held();
  await submitJob(id);
  const { fence } = await leased();
  const hold = { id: jobId, fence };
  const refused = { code: "invalid_argument" };
  await expect(at.workers.heartbeat({ jobs: [] }, acme)).rejects.toMatchObject(refused);
  await expect(at.workers.heartbeat({ jobs: [hold, hold] }, acme)).rejects.toMatchObject(refused);
  await expect(at.workers.log({ ...hold, lines: [] }, acme)).rejects.toMatchObject(refused);
  await expect(at.workers.fail(hold, acme)).rejects.toMatchObject(refused);
  await expect(at.workers.fail({ ...hold, error: { code: "Not a code" } }, acme)).rejects.toMatchObject(refused);
  await expect(at.workers.complete({ id: jobId, fence: -1n }, acme)).rejects.toMatchObject(refused);
  const large = { kind: { case: "stringValue" as const, value: "x".repeat(1_100_000) } };
  await expect(at.workers.complete({ ...hold, output: large }, acme)).rejects.toMatchObject({ code: "too_large" });
  await at.report(id, { outcome: progress });
  expect(await inboxOf(id)).toBeUndefined();
});

test("two schedulers on one store: a job stored by one wakes a poll at the other", async () => {
  const live = inProcessLive();
  const one = await startScheduler({ live });
  const two = await startScheduler({ live, stores: one.stores, dispatch: one.dispatch, name: "scheduler-2" });
  try {
    const id = await one.accepted();
    await one.claim(id);
    const waiting = two.workers.poll(
      { worker: "w", functions: [{ name: "resize", capacity: 1 }], wait: { seconds: 60n } },
      { ...acme, timeoutMs: 90_000 },
    );
    await pass(0);
    await one.execution.submitJob({
      hold: { taskId: id, attempt: 1, project: "acme" },
      executor: "executor-1",
      node: "a",
      function: "resize",
      inputJson: jsonOf(1),
      jobId,
      deadline: timestampFromMs(Date.now() + hourMs),
    });
    expect((await waiting).jobs).toHaveLength(1);
  } finally {
    await two.stop();
    await one.stop();
  }
});
