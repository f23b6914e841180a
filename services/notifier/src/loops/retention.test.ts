import { expect, onTestFinished, test } from "vitest";
import { handClock } from "../testing/hand-clock.ts";
import { acme, memoryStore, order, scriptedOutbound, world } from "../testing/world.ts";

const dayMs = 86_400_000;

async function begin(answer: Parameters<typeof scriptedOutbound>[1], over: Partial<Parameters<typeof world>[0]> = {}) {
  const clock = over.clock ?? handClock();
  const { outbound, posted } = scriptedOutbound(clock, answer);
  const made = world({ outbound, retentionMs: dayMs, ...over, clock });
  await made.start();
  onTestFinished(() => made.stop());
  return { ...made, posted };
}

test("a delivered message is kept for its time after its last attempt, then it goes", async () => {
  const { accept, live, store } = await begin(() => ({}));
  const one = order();
  await accept([one]);
  await live(dayMs - 1_000);
  expect((await store.get("acme", one.id))?.delivery.state).toBe("delivered");
  await live(121_000);
  expect(await store.get("acme", one.id)).toBeUndefined();
  expect(await store.listByTask("acme", one.taskId, 9)).toEqual([]);
});

test("one that is given up goes as well, and with it what was known of its endpoint", async () => {
  const { accept, live, store, stored, posted } = await begin(() => ({ status: 503 }), {
    attempts: 6,
    retryScalePercent: 1,
  });
  const one = order();
  await accept([one]);
  await live(dayMs / 2);
  expect((await stored(one.id)).delivery).toMatchObject({ state: "exhausted", unreported: false });
  expect(posted).toHaveLength(6);
  const { endpoint } = (await stored(one.id)).delivery;
  expect((await store.getEndpoint(endpoint))?.pausedUntil).toBeDefined();
  await live(dayMs);
  expect(await store.get("acme", one.id)).toBeUndefined();
  expect(await store.getEndpoint(endpoint)).toBeUndefined();
});

test("what is still to be sent stays however long that takes, and what the scheduler does not know too", async () => {
  const clock = handClock();
  const store = memoryStore(clock);
  const { accept, live, stored, reports } = await begin(() => ({}), { store, clock });
  reports.state.isAway = true;
  const told = order();
  await accept([told]);
  const waiting = order();
  const { nextAttemptTime: _, ...due } = (await stored(told.id)).delivery;
  await store.insert([
    {
      ...due,
      id: waiting.id,
      taskId: waiting.taskId,
      state: "paused",
      nextAttemptTime: clock.now() + 30 * dayMs,
      unreported: false,
    },
  ]);
  await live(3 * dayMs);
  expect((await stored(told.id)).delivery).toMatchObject({ state: "delivered", unreported: true });
  reports.state.isAway = false;
  await live(7_200_000);
  expect(await store.get("acme", told.id)).toBeUndefined();
  expect((await stored(waiting.id)).delivery.state).toBe("paused");
});

test("a replay gives a delivery its whole time again", async () => {
  const { accept, live, store, stored, deliveries } = await begin(() => ({}));
  const one = order();
  await accept([one]);
  await live(dayMs - 3_600_000);
  await deliveries.replay({ id: one.id }, acme);
  await live(dayMs - 60_000);
  expect((await stored(one.id)).delivery).toMatchObject({ state: "delivered", made: 2 });
  await live(180_000);
  expect(await store.get("acme", one.id)).toBeUndefined();
});

test("two notifiers on one store remove everything together, and neither minds the other", async () => {
  const clock = handClock();
  const store = memoryStore(clock);
  const [a, b] = [await begin(() => ({}), { store, clock }), await begin(() => ({}), { store, clock })];
  const orders = Array.from({ length: 600 }, () => order());
  for (let from = 0; from < orders.length; from += 200) await a.accept(orders.slice(from, from + 200));
  await a.live(dayMs / 2);
  expect(await store.listExpired(Number.MAX_SAFE_INTEGER, 1_000)).toHaveLength(600);
  for (let hour = 0; hour < 14; hour++) {
    await a.live(3_600_000);
    await b.notifier.idle();
  }
  expect(await store.listExpired(Number.MAX_SAFE_INTEGER, 9)).toEqual([]);
});
