import { randomUUID } from "node:crypto";
import { DeliveryState } from "@longhaul/proto/task";
import { projectHeader } from "@longhaul/shared";
import { expect, onTestFinished, test } from "vitest";
import { handClock } from "../testing/hand-clock.ts";
import { acme, order, scriptedOutbound, world } from "../testing/world.ts";

async function begin(answer: Parameters<typeof scriptedOutbound>[1] = () => ({})) {
  const clock = handClock();
  const { outbound, posted } = scriptedOutbound(clock, answer);
  const made = world({ outbound, clock });
  await made.start();
  onTestFinished(() => made.stop());
  return { ...made, posted };
}

const other = { headers: { [projectHeader]: "other" } };

test("a delivery is shown with its attempts and without its secrets, headers and credentials", async () => {
  const to = await begin(() => ({ status: 500, body: Buffer.from("oops") }));
  const one = order({
    secrets: ["whsec_AAEC"],
    headers: { authorization: "Bearer x" },
    url: "https://user:pass@receiver.example/hook",
  });
  await to.accept([one]);
  await to.notifier.idle();
  const { delivery } = await to.deliveries.get({ id: one.id }, acme);
  expect(delivery).toMatchObject({
    id: one.id,
    taskId: one.taskId,
    event: "task.succeeded",
    url: "https://receiver.example/hook",
    state: DeliveryState.PENDING,
    attempts: [{ number: 1, status: 500, error: "The receiver answered 500.", responseStart: "oops" }],
  });
  expect(delivery?.nextAttemptTime?.seconds).toBe(BigInt((to.clock.now() + 5_000) / 1_000));
  expect(delivery?.createTime?.seconds).toBe(BigInt(to.clock.now() / 1_000));
  const shown = JSON.stringify(delivery, (_, value) => (typeof value === "bigint" ? String(value) : value));
  for (const secret of ["pass@", "Bearer", "whsec", "sealed"]) expect(shown).not.toContain(secret);
});

test("nothing of another project is found, listed or replayed", async () => {
  const to = await begin();
  const one = order();
  await to.accept([one]);
  await to.notifier.idle();
  await expect(to.deliveries.get({ id: one.id }, other)).rejects.toMatchObject({ code: "delivery_not_found" });
  await expect(to.deliveries.replay({ id: one.id }, other)).rejects.toMatchObject({ code: "delivery_not_found" });
  expect((await to.deliveries.list({ taskId: one.taskId }, other)).deliveries).toEqual([]);
  await expect(to.deliveries.get({ id: one.id })).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(to.deliveries.list({ taskId: one.taskId })).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(to.deliveries.replay({ id: one.id })).rejects.toMatchObject({ code: "unauthenticated" });
  for (const id of ["", "nonsense", "../x", "x".repeat(10_000), "\u0000"]) {
    await expect(to.deliveries.get({ id }, acme)).rejects.toMatchObject({ code: "delivery_not_found" });
  }
});

test("a task's deliveries are listed in pages", async () => {
  const to = await begin();
  const taskId = randomUUID();
  const events = ["task.cancelled", "task.failed", "task.succeeded", "task.timed_out"];
  await to.accept(events.map((event) => ({ ...order({ taskId }), event, id: `${taskId}.${event}` })));
  await to.notifier.idle();
  const first = await to.deliveries.list({ taskId, pageSize: 3 }, acme);
  expect(first.deliveries.map((one) => one.event)).toEqual(events.slice(0, 3));
  const second = await to.deliveries.list({ taskId: taskId.toUpperCase(), pageSize: 3, pageToken: first.nextPageToken }, acme);
  expect(second.deliveries.map((one) => one.event)).toEqual(events.slice(3));
  expect(second.nextPageToken).toBe("");
  expect((await to.deliveries.list({ taskId, pageSize: 4 }, acme)).nextPageToken).toBe("");
  expect((await to.deliveries.list({ taskId: randomUUID() }, acme)).deliveries).toEqual([]);
});

test("bad task ids, page sizes and page tokens are refused with a pointer", async () => {
  const to = await begin();
  const taskId = randomUUID();
  const foreign = Buffer.from(JSON.stringify([randomUUID(), "x"])).toString("base64url");
  const twisted = Buffer.from(JSON.stringify([taskId, { $gt: "" }])).toString("base64url");
  for (const [request, pointer] of [
    [{ taskId: "x" }, "/taskId"],
    [{ taskId: "" }, "/taskId"],
    [{ taskId, pageSize: -1 }, "/pageSize"],
    [{ taskId, pageSize: 501 }, "/pageSize"],
    [{ taskId, pageToken: "!" }, "/pageToken"],
    [{ taskId, pageToken: "e30" }, "/pageToken"],
    [{ taskId, pageToken: foreign }, "/pageToken"],
    [{ taskId, pageToken: twisted }, "/pageToken"],
    [{ taskId, pageToken: "A".repeat(5_000) }, "/pageToken"],
  ] as const) {
    await expect(to.deliveries.list(request, acme)).rejects.toMatchObject({ code: "invalid_argument", faults: [{ pointer }] });
  }
});

test("replay sends the same id and body with a fresh set of attempts, whose numbers go on", async () => {
  let status = 410;
  const to = await begin(() => ({ status }));
  const one = order({ body: '{"n":1}' });
  await to.accept([one]);
  await to.notifier.idle();
  status = 500;
  const { delivery } = await to.deliveries.replay({ id: one.id }, acme);
  expect(delivery).toMatchObject({ state: DeliveryState.PENDING, attempts: [{ number: 1, status: 410 }] });
  await to.notifier.idle();
  await expect(to.deliveries.replay({ id: one.id }, acme)).rejects.toMatchObject({ code: "conflict" });
  await to.live(40 * 3_600_000);
  const after = (await to.stored(one.id)).delivery;
  expect(after).toMatchObject({ state: "exhausted", made: 9, madeInRound: 8 });
  expect(new Set(to.posted.map((posted) => `${posted.id} ${posted.body}`))).toEqual(new Set([`${one.id} {"n":1}`]));
  status = 200;
  await to.deliveries.replay({ id: one.id }, acme);
  await to.notifier.idle();
  expect((await to.stored(one.id)).delivery).toMatchObject({ state: "delivered", made: 10 });
  // A delivered one may be sent again too; each change was told in order.
  await to.deliveries.replay({ id: one.id }, acme);
  await to.notifier.idle();
  expect(to.posted).toHaveLength(11);
  const sequences = to.reports.standings.map((standing) => Number(standing.sequence));
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
  expect(to.reports.standings.at(-1)).toMatchObject({ state: DeliveryState.DELIVERED });
});

test("of many concurrent replays one takes effect", async () => {
  const to = await begin();
  const one = order();
  await to.accept([one]);
  await to.notifier.idle();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => to.deliveries.replay({ id: one.id }, acme)));
  await to.notifier.idle();
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  expect(to.posted).toHaveLength(2);
  expect(to.notifier.counts()).toMatchObject({ held: 0, heldBytes: 0, sending: 0 });
});

test("malformed orders are refused together, with pointers, and nothing is stored", async () => {
  const to = await begin();
  const good = order();
  const bad = [
    { ...order(), id: "forged" },
    { ...order(), project: "no spaces" },
    { ...order(), body: new Uint8Array([0xff]) },
    { ...order(), taskId: "" },
  ];
  await expect(to.accept([good, ...bad])).rejects.toMatchObject({
    code: "invalid_argument",
    faults: [
      { pointer: "/orders/1/id" },
      { pointer: "/orders/2/project" },
      { pointer: "/orders/3/body" },
      { pointer: "/orders/4/taskId" },
    ],
  });
  expect(await to.store.get("acme", good.id)).toBeUndefined();
  await expect(to.accept(Array.from({ length: 257 }, () => order()))).rejects.toMatchObject({ code: "invalid_argument" });
  expect(await to.accept([])).toEqual([]);
});

test("what is exhausted is sent again, of one task or of the whole project, and nothing else", async () => {
  let status = 410;
  const to = await begin(() => ({ status }));
  const [one, two, three] = [order(), order(), order()];
  await to.accept([one, two]);
  await to.notifier.idle();
  status = 200;
  await to.accept([three]);
  await to.notifier.idle();
  const stateOf = async (id: string) => (await to.deliveries.get({ id }, acme)).delivery?.state;
  expect(await stateOf(one.id)).toBe(DeliveryState.EXHAUSTED);

  expect(await to.deliveries.replayFailed({}, other)).toMatchObject({ replayed: 0, more: false });
  expect(await to.deliveries.replayFailed({ taskId: one.taskId.toUpperCase() }, acme)).toMatchObject({
    replayed: 1,
    more: false,
  });
  await to.notifier.idle();
  expect([await stateOf(one.id), await stateOf(two.id)]).toEqual([DeliveryState.DELIVERED, DeliveryState.EXHAUSTED]);
  expect(await to.deliveries.replayFailed({}, acme)).toMatchObject({ replayed: 1, more: false });
  await to.notifier.idle();
  expect(await stateOf(two.id)).toBe(DeliveryState.DELIVERED);
  expect(await to.deliveries.replayFailed({}, acme)).toMatchObject({ replayed: 0, more: false });
  expect(to.posted).toHaveLength(5);
  await expect(to.deliveries.replayFailed({ taskId: "x" }, acme)).rejects.toMatchObject({ code: "invalid_argument" });
});
