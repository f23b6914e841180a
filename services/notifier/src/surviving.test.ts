import { LonghaulError } from "@longhaul/core";
import { DeliveryState } from "@longhaul/proto/task";
import { expect, onTestFinished, test } from "vitest";
import { handClock } from "./testing/hand-clock.ts";
import { memoryStore, order, scriptedOutbound, world } from "./testing/world.ts";

type Answer = Parameters<typeof scriptedOutbound>[1];

/** A store, a clock, and as many notifiers on them as a test starts. */
function shared() {
  const clock = handClock();
  const store = memoryStore(clock);
  const begin = async (answer: Answer, over: Partial<Parameters<typeof world>[0]> = {}) => {
    const { outbound, posted } = scriptedOutbound(clock, answer);
    const made = world({ outbound, clock, store, ...over });
    await made.start();
    onTestFinished(() => made.stop());
    return { ...made, posted };
  };
  return { clock, store, begin };
}

const never = (): Promise<never> => new Promise(() => {});

/** Lets everything that is ready run, without waiting for what hangs. */
async function turns(count = 50): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("killed between store and send, the message comes due again by itself and is sent by the next notifier", async () => {
  const { store, begin } = shared();
  // Dies after the insert: nothing it would do afterwards happens.
  const dead = await begin(never);
  const one = order();
  await dead.accept([one]);
  await turns();
  await dead.stop();
  const next = await begin(() => ({}));
  await next.live(15_000);
  expect(next.posted).toHaveLength(0);
  await next.live(6_000);
  expect(next.posted.map((posted) => posted.id)).toEqual([one.id]);
  expect((await store.get("acme", one.id))?.delivery).toMatchObject({ state: "delivered", made: 1 });
});

test("killed between send and record, the message is sent again with the same id: at least once, never lost", async () => {
  const { store, begin } = shared();
  let isDead = false;
  const dying = await begin(
    () => {
      isDead = true;
      return {};
    },
    {
      store: {
        ...store,
        replace: (changes) => (isDead ? never() : store.replace(changes)),
      },
    },
  );
  const one = order();
  await dying.accept([one]);
  await turns();
  expect(dying.posted).toHaveLength(1);
  await dying.stop();
  const next = await begin(() => ({}));
  await next.live(30_000);
  expect(next.posted.map((posted) => posted.id)).toEqual([one.id]);
  expect(next.posted[0]?.body).toBe(dying.posted[0]?.body);
  expect((await store.get("acme", one.id))?.delivery.state).toBe("delivered");
});

test("killed between record and report, the next notifier reports it", async () => {
  const { store, begin } = shared();
  const dying = await begin(() => ({}));
  dying.reports.state.isAway = true;
  const one = order();
  await dying.accept([one]);
  await dying.notifier.idle();
  await dying.stop();
  expect((await store.get("acme", one.id))?.delivery).toMatchObject({ state: "delivered", unreported: true });
  const next = await begin(() => ({}));
  await next.notifier.idle();
  expect(next.reports.standings).toMatchObject([{ taskId: one.taskId, state: DeliveryState.DELIVERED, sequence: 1n }]);
  expect((await store.get("acme", one.id))?.delivery.unreported).toBe(false);
  expect(next.posted).toHaveLength(0);
});

test("the same order again, at the same notifier or another one, is answered as accepted and sent once", async () => {
  const { begin } = shared();
  const [a, b] = [await begin(() => ({})), await begin(() => ({}))];
  const one = order();
  const answers = await Promise.all([a.accept([one, one]), a.accept([one]), b.accept([one])]);
  expect(answers).toEqual([[one.id, one.id], [one.id], [one.id]]);
  await a.live(60_000);
  await b.live(60_000);
  expect([...a.posted, ...b.posted]).toHaveLength(1);
});

test("two notifiers on one store send each due message once, whoever comes first", async () => {
  const { clock, store, begin } = shared();
  const failing = await begin(() => ({ status: 404 }));
  const orders = Array.from({ length: 100 }, (_, i) => order({ url: `https://r${i % 7}.example/` }));
  await failing.accept(orders);
  await failing.notifier.idle();
  expect(failing.posted).toHaveLength(100);
  await failing.stop();
  const [a, b] = [await begin(() => ({})), await begin(() => ({}))];
  await Promise.all([a.notifier.idle(), b.notifier.idle()]);
  clock.turn(5_000);
  await Promise.all([a.notifier.idle(), b.notifier.idle()]);
  expect([...a.posted, ...b.posted].map((posted) => posted.id).sort()).toEqual(orders.map((one) => one.id).sort());
  for (const one of orders) expect((await store.get("acme", one.id))?.delivery).toMatchObject({ state: "delivered", made: 2 });
});

test("an attempt that outlives its lease is recorded without disturbing the notifier that took over", async () => {
  const { clock, store, begin } = shared();
  const done: { answer?: (status: number) => void } = {};
  const slow = await begin(() => new Promise((resolve) => (done.answer = (status) => resolve({ status }))));
  const one = order();
  await slow.accept([one]);
  await turns();
  const other = await begin(() => ({ status: 500 }));
  clock.turn(21_000);
  await other.notifier.idle();
  expect(other.posted).toHaveLength(1);
  done.answer?.(200);
  await slow.notifier.idle();
  const { delivery } = (await store.get("acme", one.id)) ?? {};
  expect(delivery).toMatchObject({ state: "delivered", made: 2 });
  expect(delivery?.attempts.map((attempt) => [attempt.number, attempt.status])).toEqual([
    [1, 500],
    [2, 200],
  ]);
});

test("an attempt that fails after its lease does not plan anything while another notifier sends", async () => {
  const { clock, store, begin } = shared();
  const late: { answer?: () => void } = {};
  const slow = await begin(() => new Promise((resolve) => (late.answer = () => resolve({ status: 410 }))));
  const one = order();
  await slow.accept([one]);
  await turns();
  const taken: { answer?: () => void } = {};
  const other = await begin(() => new Promise((resolve) => (taken.answer = () => resolve({}))));
  clock.turn(21_000);
  await turns();
  expect(other.posted).toHaveLength(1);
  late.answer?.();
  await slow.notifier.idle();
  expect((await store.get("acme", one.id))?.delivery).toMatchObject({
    state: "pending",
    nextAttemptTime: clock.now() + 20_000,
    made: 1,
  });
  taken.answer?.();
  await other.notifier.idle();
  expect((await store.get("acme", one.id))?.delivery).toMatchObject({ state: "delivered", made: 2 });
});

test("while the database is away an attempt waits to be recorded, and nothing is sent twice", async () => {
  const { clock, store, begin } = shared();
  let isAway = false;
  const away = (): never => {
    throw new LonghaulError("unavailable", "database away");
  };
  const to = await begin(
    () => {
      isAway = true;
      return {};
    },
    {
      store: {
        ...store,
        replace: async (changes) => (isAway ? away() : store.replace(changes)),
        get: async (project, id) => (isAway ? away() : store.get(project, id)),
        nextDue: async () => (isAway ? away() : store.nextDue()),
      },
    },
  );
  const one = order();
  await to.accept([one]);
  await turns();
  for (let i = 0; i < 20; i++) {
    clock.turn(500);
    await turns(5);
  }
  expect(to.posted).toHaveLength(1);
  isAway = false;
  clock.turn(6_000);
  await to.notifier.idle();
  expect((await store.get("acme", one.id))?.delivery).toMatchObject({ state: "delivered", made: 1 });
  await to.live(3_600_000);
  expect(to.posted).toHaveLength(1);
});

test("a recording whose answer is lost is not recorded twice", async () => {
  const { clock, store, begin } = shared();
  let lose = 1;
  const to = await begin(() => ({ status: 500 }), {
    store: {
      ...store,
      async replace(changes) {
        const results = await store.replace(changes);
        if (changes[0]?.next.made === 1 && lose-- > 0) throw new LonghaulError("unavailable", "answer lost");
        return results;
      },
    },
  });
  const one = order();
  await to.accept([one]);
  await turns();
  clock.turn(200);
  await to.notifier.idle();
  expect((await store.get("acme", one.id))?.delivery).toMatchObject({ state: "pending", made: 1 });
});

test("an insert that fails leaves nothing behind in memory, and the same order may come again", async () => {
  const { store, begin } = shared();
  let isAway = true;
  const to = await begin(() => ({}), {
    store: {
      ...store,
      insert: async (rows) => (isAway ? Promise.reject(new LonghaulError("unavailable", "away")) : store.insert(rows)),
    },
  });
  const one = order();
  await expect(to.accept([one])).rejects.toMatchObject({ code: "unavailable" });
  expect(to.notifier.counts()).toMatchObject({ held: 0, heldBytes: 0 });
  isAway = false;
  await to.accept([one]);
  await to.notifier.idle();
  expect(to.posted).toHaveLength(1);
});

test("draining lets the send under way end, sends nothing more, and hands back what waits", async () => {
  const { begin } = shared();
  const done: { answer?: () => void } = {};
  const to = await begin(() => new Promise((resolve) => (done.answer = () => resolve({}))));
  const orders = [order(), order(), order()];
  await to.accept(orders);
  await turns();
  expect(to.posted).toHaveLength(1);
  const draining = to.drain();
  await turns();
  const late = order();
  await to.accept([late]);
  done.answer?.();
  await draining;
  expect(to.posted).toHaveLength(1);
  expect((await to.stored(to.posted[0]?.id ?? "")).delivery).toMatchObject({ state: "delivered", unreported: false });
  await to.stop();
  // Without a wait: what was handed back is due at once.
  const next = await begin(() => ({}));
  await next.notifier.idle();
  expect(next.posted.map((posted) => posted.id).sort()).toEqual(
    [...orders, late]
      .map((one) => one.id)
      .filter((id) => id !== to.posted[0]?.id)
      .sort(),
  );
});

test("a drain whose time is up leaves the send under way to its lease", async () => {
  const { clock, store, begin } = shared();
  const to = await begin(never);
  const one = order();
  await to.accept([one]);
  await turns();
  await to.drain(AbortSignal.abort());
  await to.stop();
  await to.notifier.idle();
  const left = await store.get("acme", one.id);
  expect(left?.delivery).toMatchObject({ state: "pending", made: 0 });
  expect(left?.delivery.nextAttemptTime).toBe(clock.now() + 20_000);
});

test("an endpoint's open circuit survives a restart", async () => {
  const { begin } = shared();
  const dying = await begin(() => ({ status: 500 }));
  await dying.accept(Array.from({ length: 10 }, () => order()));
  await dying.notifier.idle();
  expect(dying.posted).toHaveLength(5);
  await dying.stop();
  const next = await begin(() => ({}));
  await next.accept([order()]);
  await next.notifier.idle();
  expect(next.posted).toHaveLength(0);
  await next.live(60_000);
  expect(next.posted).toHaveLength(11);
});

test("a notifier whose clock runs an hour ahead keeps to the database's", async () => {
  const { store } = shared();
  const ahead = handClock(1_800_003_600_000);
  const { outbound } = scriptedOutbound(ahead, () => ({ status: 500 }));
  const to = world({ outbound, clock: ahead, store });
  await to.start();
  onTestFinished(() => to.stop());
  const one = order();
  await to.accept([one]);
  await to.notifier.idle();
  expect((await to.stored(one.id)).delivery.nextAttemptTime).toBe(1_800_000_005_000);
});
