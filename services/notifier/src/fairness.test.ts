import { expect, onTestFinished, test } from "vitest";
import { handClock } from "./testing/hand-clock.ts";
import { order, type Posted, scriptedOutbound, world } from "./testing/world.ts";

async function turns(count = 200): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Dead receivers never answer; `done` ends all of their waits at once, as their timeout would. */
async function withDeadOnes(limits?: Parameters<typeof world>[0]["limits"]) {
  const clock = handClock();
  const hanging: (() => void)[] = [];
  const { outbound, posted } = scriptedOutbound(clock, (one) =>
    one.url.includes("dead") ? new Promise((resolve) => hanging.push(() => resolve({ status: 504 }))) : {},
  );
  const to = world({ outbound, clock, ...(limits && { limits }) });
  await to.start();
  onTestFinished(() => to.stop());
  const alive = (): readonly Posted[] => posted.filter((one) => !one.url.includes("dead"));
  return { ...to, posted, hanging, alive };
}

const inBatches = async (
  to: Awaited<ReturnType<typeof withDeadOnes>>,
  orders: readonly ReturnType<typeof order>[],
): Promise<void> => {
  for (let at = 0; at < orders.length; at += 256) await to.accept(orders.slice(at, at + 256));
};

test("a thousand dead endpoints delay neither a known healthy endpoint nor a new one", async () => {
  const to = await withDeadOnes();
  await to.accept([order({ url: "https://known.example/" })]);
  await to.notifier.idle();
  await inBatches(
    to,
    Array.from({ length: 3_000 }, (_, i) => order({ url: `https://dead${i % 1_000}.example/` })),
  );
  await turns();
  // One send at a time to each that never answered.
  expect(to.hanging).toHaveLength(1_000);
  await to.accept([order({ url: "https://known.example/" }), order({ url: "https://new.example/" })]);
  await turns();
  expect(to.alive().map((one) => one.url)).toEqual(["https://known.example/", "https://known.example/", "https://new.example/"]);
});

test("endpoints that failed get few slots of all, however many they are", async () => {
  const to = await withDeadOnes({ maxSends: 80, maxHeldItems: 8_192, maxHeldBytes: 1e8, maxLanes: 10_000, maxSettling: 1_024 });
  const dead = Array.from({ length: 40 }, (_, i) => order({ url: `https://dead${i}.example/` }));
  await to.accept(dead);
  await turns();
  for (const finish of to.hanging.splice(0)) finish();
  await to.notifier.idle();
  to.clock.turn(5_000);
  await turns();
  // An eighth of 80 is 10, of which one project may use 8.
  expect(to.hanging).toHaveLength(8);
  const bulk = Array.from({ length: 200 }, (_, i) => order({ url: `https://healthy${i % 20}.example/` }));
  await to.accept(bulk);
  await turns();
  expect(to.alive()).toHaveLength(200);
});

test("one project's flood of dead endpoints leaves room for the first message of another project", async () => {
  const to = await withDeadOnes({ maxSends: 16, maxHeldItems: 8_192, maxHeldBytes: 1e8, maxLanes: 10_000, maxSettling: 1_024 });
  await to.accept(Array.from({ length: 100 }, (_, i) => order({ url: `https://dead${i}.example/` })));
  await turns();
  // Five eighths of 16 are 10, of which one project may use 8.
  expect(to.hanging).toHaveLength(8);
  await to.accept([order({ url: "https://new.example/", project: "other" })]);
  await turns();
  expect(to.alive()).toHaveLength(1);
});

test("a healthy endpoint has at most eight sends at a time, after a start with one", async () => {
  const clock = handClock();
  const open: (() => void)[] = [];
  const widths: number[] = [];
  const { outbound, posted } = scriptedOutbound(clock, () => new Promise((resolve) => open.push(() => resolve({}))));
  const to = world({ outbound, clock });
  await to.start();
  onTestFinished(() => to.stop());
  await to.accept(Array.from({ length: 100 }, () => order()));
  while (posted.length < 100 || open.length > 0) {
    await turns(20);
    widths.push(open.length);
    for (const finish of open.splice(0)) finish();
    if (open.length === 0 && widths.at(-1) === 0) await to.pass(1_000);
  }
  await to.notifier.idle();
  expect(widths[0]).toBe(1);
  expect(Math.max(...widths)).toBe(8);
  expect(posted).toHaveLength(100);
});

test("memory is bounded in messages and bytes; the rest waits in the store", async () => {
  const to = await withDeadOnes({
    maxSends: 2_048,
    maxHeldItems: 100,
    maxHeldBytes: 50_000,
    maxLanes: 10_000,
    maxSettling: 1_024,
  });
  const body = JSON.stringify({ fill: "x".repeat(1_000) });
  await inBatches(
    to,
    Array.from({ length: 1_000 }, (_, i) => order({ url: `https://dead${i % 5}.example/`, body })),
  );
  await turns();
  const { held, heldBytes } = to.notifier.counts();
  expect(held).toBeLessThanOrEqual(100);
  expect(heldBytes).toBeLessThanOrEqual(50_000);
  expect((await to.store.listDueEndpoints(to.clock.now(), 10)).length).toBe(5);
});

test("memory full of messages to dead endpoints leaves room for an endpoint that has none waiting", async () => {
  const to = await withDeadOnes({ maxSends: 2_048, maxHeldItems: 20, maxHeldBytes: 1e8, maxLanes: 10_000, maxSettling: 1_024 });
  await inBatches(
    to,
    Array.from({ length: 500 }, (_, i) => order({ url: `https://dead${i % 50}.example/` })),
  );
  await turns();
  await to.accept([order({ url: "https://new.example/" })]);
  await turns();
  expect(to.alive()).toHaveLength(1);
});

test("endpoints without work are forgotten, so that memory does not grow with their number", async () => {
  const to = await withDeadOnes({ maxSends: 2_048, maxHeldItems: 8_192, maxHeldBytes: 1e8, maxLanes: 50, maxSettling: 1_024 });
  for (let i = 0; i < 10; i++) {
    await to.accept(Array.from({ length: 40 }, (_, k) => order({ url: `https://r${i * 40 + k}.example/` })));
    await to.notifier.idle();
  }
  expect(to.alive()).toHaveLength(400);
  expect(to.notifier.counts().lanes).toBeLessThanOrEqual(50);
});
