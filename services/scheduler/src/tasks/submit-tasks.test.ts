import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError } from "@longhaul/core";
import type { SubmitResult } from "@longhaul/proto/intake_service";
import { afterEach, expect, test } from "vitest";
import { acme, box, freshId, type ItemInit, jsonOf, type StartedScheduler, startScheduler } from "../testing/start-scheduler.ts";
import { idOfKey } from "./submit-tasks.ts";

let world: StartedScheduler;
afterEach(async () => {
  await world.stop();
});

const hash = (text: string): Uint8Array => Buffer.from(text);
const keyed = (key: string, body = "body", more: ItemInit = {}): ItemInit =>
  Object.assign({ idempotencyKey: key, bodyHash: hash(body) }, more);
function refusalOf(result: SubmitResult | undefined) {
  if (result?.result.case !== "refused") throw new Error(`it is ${result?.result.case}`);
  const { code, message, faults } = result.result.value;
  return { code, message, pointers: faults.map(({ pointer }) => pointer) };
}
const idOf = (result: SubmitResult | undefined): string =>
  result?.result.case === "accepted" || result?.result.case === "replayed" ? result.result.value.id : "";

test("what is accepted can be read at once, and its ticket goes out after that", async () => {
  world = await startScheduler();
  const id = await world.accepted({ priority: 3, labels: { team: "red" } });
  const { task } = await world.tasks.get({ id }, acme);
  expect(task).toMatchObject({
    id,
    project: "acme",
    workflow: "echo",
    revision: 1,
    priority: 3,
    labels: { team: "red" },
    attempt: 0,
  });
  await expect.poll(() => world.tickets).toEqual([{ project: "acme", taskId: id, attempt: 0, alone: false }]);
});

test("each way in which a submit can be wrong has its code and its place, and stores nothing", async () => {
  world = await startScheduler();
  const past = timestampFromMs(Date.now() - 1_000);
  const cases: readonly (readonly [ItemInit, string, readonly string[]])[] = [
    [{ id: "7" }, "invalid_argument", []],
    [{ workflow: "nowhere" }, "workflow_not_found", []],
    [{ workflow: "../etc" }, "workflow_not_found", []],
    [{ revision: 9 }, "workflow_not_found", []],
    [{ revision: -1 }, "workflow_not_found", []],
    [{ priority: 101 }, "invalid_argument", ["/priority"]],
    [{ labels: { "": "x" } }, "invalid_argument", ["/labels/"]],
    [{ labels: { "a=b": "x", "c~/d": "y".repeat(256) } }, "invalid_argument", ["/labels/a=b", "/labels/c~0~1d"]],
    [{ labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`l${i}`, ""])) }, "invalid_argument", ["/labels"]],
    [{ deadline: past }, "invalid_argument", ["/deadline"]],
    [
      { notBefore: timestampFromMs(Date.now() + 9_000), deadline: timestampFromMs(Date.now() + 8_000) },
      "invalid_argument",
      ["/notBefore"],
    ],
    [{ inputJson: new Uint8Array(1_048_577).fill(49) }, "too_large", []],
    [{ workflow: "strict", inputJson: jsonOf({ n: "one" }) }, "invalid_input", ["/input/n"]],
    [{ webhook: { url: "ftp://x.test" } }, "invalid_argument", ["/webhook/url"]],
    [{ webhook: { url: "nonsense" } }, "invalid_argument", ["/webhook/url"]],
    [{ webhook: { url: "https://user:secret@x.test" } }, "invalid_argument", ["/webhook/url"]],
    [{ webhook: { url: `https://x.test/${"a".repeat(2_048)}` } }, "invalid_argument", ["/webhook/url"]],
    [{ webhook: { url: "https://x.test", secret: "whsec_ö" } }, "invalid_argument", ["/webhook/secret"]],
    [{ webhook: { url: "https://x.test", secret: "whsec_" } }, "invalid_argument", ["/webhook/secret"]],
    [{ webhook: { url: "https://x.test", secret: "x".repeat(513) } }, "invalid_argument", ["/webhook/secret"]],
    [{ webhook: { url: "https://x.test", headers: { Host: "y" } } }, "invalid_argument", ["/webhook/headers/Host"]],
    [{ webhook: { url: "https://x.test", headers: { "webhook-id": "y" } } }, "invalid_argument", ["/webhook/headers/webhook-id"]],
    [{ webhook: { url: "https://x.test", headers: { "a b": "y" } } }, "invalid_argument", ["/webhook/headers/a b"]],
    [{ webhook: { url: "https://x.test", headers: { a: "x\r\ny: z" } } }, "invalid_argument", ["/webhook/headers/a"]],
    [{ webhook: { url: "https://x.test", events: ["task.succeeded", "task.begun"] } }, "invalid_argument", ["/webhook/events/1"]],
  ];
  const results = await world.submit(...cases.map(([item]) => item));
  expect(results.map((result) => [refusalOf(result).code, refusalOf(result).pointers])).toEqual(
    cases.map(([, code, pointers]) => [code, pointers]),
  );
  for (const result of results) expect(refusalOf(result).message).toMatch(/^[A-Z].*\.|^The input does not fit/);
  expect((await world.tasks.list({}, acme)).tasks).toEqual([]);
});

test("one bad submit in a group fails alone", async () => {
  world = await startScheduler();
  const results = await world.submit({}, { workflow: "nowhere" }, {}, { id: "bad" }, {});
  expect(results.map(({ result }) => result.case)).toEqual(["accepted", "refused", "accepted", "refused", "accepted"]);
});

test("webhook secrets and headers are stored sealed, and never shown", async () => {
  world = await startScheduler();
  const id = await world.accepted({
    webhook: {
      url: "https://x.test/hook",
      secret: "topsecret",
      headers: { authorization: "Bearer token" },
      events: ["task.failed"],
    },
  });
  const task = await world.task(id);
  expect(task.webhook).toMatchObject({ url: "https://x.test/hook", events: ["task.failed"] });
  expect(task.webhook?.sealedSecrets.map((sealed) => box.open(sealed))).toEqual(["topsecret"]);
  expect(box.open(task.webhook?.sealedHeaders["authorization"] ?? "")).toBe("Bearer token");
  expect(JSON.stringify(task)).not.toMatch(/topsecret|Bearer/);
});

test("the earlier deadline wins, counted from when the task may start", async () => {
  world = await startScheduler();
  const before = Date.now();
  const byDefault = await world.task(await world.accepted());
  expect(byDefault.deadline - byDefault.createTime).toBe(86_400_000);
  const limited = await world.task(await world.accepted({ workflow: "strict" }));
  expect(limited.deadline - limited.createTime).toBe(7_200_000);
  const own = before + 60_000;
  const asked = await world.task(await world.accepted({ workflow: "strict", deadline: timestampFromMs(own) }));
  expect(asked.deadline).toBe(own);
  const start = before + 3_600_000;
  const later = await world.task(await world.accepted({ workflow: "strict", notBefore: timestampFromMs(start) }));
  expect(later.deadline).toBe(start + 7_200_000);
});

test("a task for later has no ticket; one for a time that has passed has one at once", async () => {
  world = await startScheduler();
  const later = await world.accepted({ notBefore: timestampFromMs(Date.now() + 60_000) });
  const now = await world.accepted({ notBefore: timestampFromMs(Date.now() - 60_000) });
  expect(await world.task(later)).toMatchObject({ state: "queued", queueing: { kind: "delayed", why: "start_time" } });
  await expect.poll(() => world.tickets.map(({ taskId }) => taskId)).toEqual([now]);
});

test("a key makes one task: the same body is a replay, another one a mismatch", async () => {
  world = await startScheduler();
  const [first] = await world.submit(keyed("k"));
  const [again, other, elsewhere] = await world.submit(
    keyed("k"),
    keyed("k", "another body"),
    keyed("k", "body", { workflow: "strict" }),
  );
  expect(first?.result.case).toBe("accepted");
  expect(again?.result.case).toBe("replayed");
  expect(idOf(again)).toBe(idOf(first));
  expect(idOf(first)).toBe(idOfKey("acme", "echo", "k"));
  expect(refusalOf(other).code).toBe("idempotency_mismatch");
  expect(elsewhere?.result.case).toBe("accepted");
});

test("a replay shows the task as it is now, even if its workflow is gone", async () => {
  world = await startScheduler();
  const [first] = await world.submit(keyed("k"));
  await world.tasks.cancel({ id: idOf(first) }, acme);
  await world.workflows.delete({ name: "echo" }, acme);
  const [again, fresh] = await world.submit(keyed("k"), keyed("k2"));
  expect(again?.result.value).toMatchObject({ id: idOf(first), version: 2n });
  expect(refusalOf(fresh).code).toBe("workflow_not_found");
});

test("of equal keys in one group the first makes the task; the others are answered by it", async () => {
  world = await startScheduler();
  const results = await world.submit({ id: "bad" }, keyed("k"), keyed("k"), keyed("k", "another"), keyed("k"));
  expect(results.map(({ result }) => result.case)).toEqual(["refused", "accepted", "replayed", "refused", "replayed"]);
  expect(refusalOf(results[3]).code).toBe("idempotency_mismatch");
  expect((await world.tasks.list({}, acme)).tasks).toHaveLength(1);
});

test("when the first of them is refused, its copies are refused for the same reason, and another body has its own chance", async () => {
  world = await startScheduler();
  const bad = { priority: 999 };
  const results = await world.submit(
    { id: "bad" },
    keyed("k", "1", bad),
    keyed("k", "1", bad),
    keyed("k", "2"),
    keyed("k", "2"),
    keyed("k", "3"),
  );
  expect(results.map(({ result }) => result.case)).toEqual(["refused", "refused", "refused", "accepted", "replayed", "refused"]);
  expect(refusalOf(results[1]).pointers).toEqual(["/priority"]);
  expect(refusalOf(results[2]).pointers).toEqual(["/priority"]);
  expect(refusalOf(results[5]).code).toBe("idempotency_mismatch");
});

test("a thousand concurrent submits with one key make one task", async () => {
  world = await startScheduler();
  const results = (await Promise.all(Array.from({ length: 1_000 }, () => world.submit(keyed("k"))))).flat();
  expect(new Set(results.map(idOf))).toEqual(new Set([idOfKey("acme", "echo", "k")]));
  expect(results.filter(({ result }) => result.case === "accepted")).toHaveLength(1);
  expect((await world.tasks.list({}, acme)).tasks).toHaveLength(1);
});

test("a gateway that sends an item again, because the answer was lost, has the same task accepted", async () => {
  world = await startScheduler();
  const item = { id: freshId() };
  const results = [...(await world.submit(item)), ...(await world.submit(item, item))];
  expect(results.map(({ result }) => result.case)).toEqual(["accepted", "accepted", "accepted"]);
  expect((await world.tasks.list({}, acme)).tasks).toHaveLength(1);
});

test("a store that is away refuses the submits with unavailable, and keeps no room for them", async () => {
  world = await startScheduler({ dispatchWindow: 2 });
  await world.stop();
  let isAway = false;
  const { stores } = world;
  const away = new LonghaulError("unavailable", "away");
  world = await startScheduler({
    stores,
    dispatchWindow: 2,
    store: { ...stores.tasks, insert: async (tasks) => (isAway ? Promise.reject(away) : stores.tasks.insert(tasks)) },
  });
  isAway = true;
  for (let i = 0; i < 5; i++) expect(refusalOf((await world.submit({}))[0]).code).toBe("unavailable");
  isAway = false;
  const id = await world.accepted();
  await expect.poll(() => world.tickets.map(({ taskId }) => taskId)).toEqual([id]);
});

test("inputs beyond 8 KiB are kept apart and shown whole", async () => {
  world = await startScheduler();
  for (const size of [8_000, 9_000, 300_000]) {
    const text = "ä".repeat(size / 2);
    const id = await world.accepted({ inputJson: jsonOf(text) });
    const { input } = await world.task(id);
    expect(input.kind).toBe(size + 2 > 8_192 ? "stored" : "inline");
    const { task } = await world.tasks.get({ id }, acme);
    expect(task?.input?.kind).toEqual({ case: "stringValue", value: text });
  }
});
