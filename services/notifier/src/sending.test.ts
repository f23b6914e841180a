import { OutboundError } from "@longhaul/core";
import { DeliveryState } from "@longhaul/proto/task";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import { handClock } from "./testing/hand-clock.ts";
import { order, type Posted, scriptedOutbound, type World, world } from "./testing/world.ts";
import { version } from "./version.ts";

const hourMs = 3_600_000;

async function begin(answer: Parameters<typeof scriptedOutbound>[1], more: Partial<Parameters<typeof world>[0]> = {}) {
  const clock = handClock();
  const { outbound, posted } = scriptedOutbound(clock, answer);
  const made = world({ outbound, clock, ...more });
  await made.start();
  onTestFinished(() => made.stop());
  return { ...made, posted };
}

async function acceptOne(to: World, options: Parameters<typeof order>[0] = {}): Promise<string> {
  const one = order(options);
  expect(await to.accept([one])).toEqual([one.id]);
  await to.notifier.idle();
  return one.id;
}

test("the version in the user agent is that of the package", () => {
  expect(version).toBe(packageJson.version);
});

test("a message is sent at once, signed over the bytes sent, and reported", async () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const body = '{"text":"Grüße 👩‍👩‍👧 \u2028"}';
  const to = await begin(() => ({ status: 204, body: Buffer.from("thanks") }), { clock: handClock(Date.now()) });
  const id = await acceptOne(to, { secrets: [secret], body, headers: { "X-Trace": "abc", Authorization: "Bearer t" } });
  const [sent] = to.posted;
  expect(sent).toMatchObject({ url: "https://receiver.example/hook", body });
  expect(sent?.headers).toMatchObject({
    "content-type": "application/json",
    "user-agent": `Longhaul/${version}`,
    "webhook-id": id,
    "x-trace": "abc",
    authorization: "Bearer t",
  });
  expect(new Webhook(secret).verify(body, { ...sent?.headers })).toEqual(JSON.parse(body));
  const { delivery } = await to.stored(id);
  expect(delivery).toMatchObject({ state: "delivered", made: 1, unreported: false });
  expect(delivery.attempts).toMatchObject([{ number: 1, status: 204, error: "", responseStart: "thanks" }]);
  expect(to.reports.standings).toMatchObject([{ taskId: delivery.taskId, state: DeliveryState.DELIVERED, sequence: 1n }]);
});

test("without a secret there is no signature, and with two there are two", async () => {
  const to = await begin(() => ({}));
  await acceptOne(to);
  await acceptOne(to, { secrets: ["one", "two"] });
  expect(to.posted[0]?.headers).not.toHaveProperty("webhook-signature");
  expect(to.posted[1]?.headers["webhook-signature"]?.split(" ")).toHaveLength(2);
});

test("headers of the user can't replace those that belong to the message", async () => {
  const to = await begin(() => ({}));
  const id = await acceptOne(to, {
    headers: {
      "Webhook-Id": "forged",
      "webhook-signature": "v1,forged",
      Host: "elsewhere",
      "Content-Type": "text/plain",
      "content-length": "1",
      "Transfer-Encoding": "chunked",
      Connection: "close",
    },
  });
  expect(Object.keys(to.posted[0]?.headers ?? {}).sort()).toEqual([
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
  ]);
  expect(to.posted[0]?.headers).toMatchObject({ "webhook-id": id, "content-type": "application/json" });
});

test.each([
  [200, "delivered"],
  [201, "delivered"],
  [299, "delivered"],
  [301, "pending"],
  [307, "pending"],
  [400, "pending"],
  [401, "pending"],
  [404, "pending"],
  [408, "pending"],
  [410, "exhausted"],
  [422, "pending"],
  [429, "pending"],
  [500, "pending"],
  [503, "pending"],
  [599, "pending"],
])("after an answer of %i the delivery is %s", async (status, state) => {
  const to = await begin(() => ({ status }));
  const { delivery } = await to.stored(await acceptOne(to));
  expect(delivery.state).toBe(state);
  expect(delivery.attempts).toMatchObject([{ status }]);
  if (state === "delivered") expect(delivery.attempts[0]?.error).toBe("");
  else expect(delivery.attempts[0]?.error).toContain(String(status));
});

test.each([
  ["timeout", "pending"],
  ["connect_failed", "pending"],
  ["network", "pending"],
  ["response_too_large", "pending"],
  ["invalid_url", "exhausted"],
  ["forbidden_address", "exhausted"],
] as const)("after the fault %s the delivery is %s", async (fault, state) => {
  const to = await begin(() => new OutboundError(fault, "receiver.example is not well"));
  const { delivery } = await to.stored(await acceptOne(to));
  expect(delivery.state).toBe(state);
  expect(delivery.attempts).toMatchObject([{ status: 0, error: "Receiver.example is not well." }]);
});

test("a dead receiver is tried eight times over 28 hours, every attempt on record, then the message is visibly exhausted", async () => {
  const to = await begin(() => ({ status: 500, body: Buffer.from("ü".repeat(2_000)) }));
  const id = await acceptOne(to);
  await to.live(40 * hourMs);
  const { delivery } = await to.stored(id);
  expect(delivery).toMatchObject({ state: "exhausted", made: 8, unreported: false });
  expect("nextAttemptTime" in delivery).toBe(false);
  expect(delivery.attempts.map((one) => one.number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(delivery.attempts[0]?.responseStart).toBe("ü".repeat(512));
  expect(to.posted).toHaveLength(8);
  expect(new Set(to.posted.map((one) => one.body)).size).toBe(1);
  const first = to.posted[0]?.time ?? 0;
  const last = to.posted.at(-1)?.time ?? 0;
  expect((last - first) / hourMs).toBeGreaterThan(27);
  expect((last - first) / hourMs).toBeLessThan(30);
  expect(to.reports.standings.at(-1)).toMatchObject({ state: DeliveryState.EXHAUSTED });
});

test("an attempt is on record before the next one begins", async () => {
  const seen: number[] = [];
  const to = await begin(async (posted) => {
    seen.push((await to.stored(posted.id)).delivery.attempts.length);
    return { status: 500 };
  });
  await acceptOne(to);
  await to.live(hourMs);
  expect(seen).toEqual([0, 1, 2, 3, 4]);
});

test("a character cut at the end of what is kept of an answer is left out, and bytes that are no text are replaced", async () => {
  const to = await begin((_, count) => ({
    body: count === 1 ? Buffer.from(`x${"ü".repeat(600)}`) : Buffer.from([0xff, 0x41, 0x00]),
  }));
  expect((await to.stored(await acceptOne(to))).delivery.attempts[0]?.responseStart).toBe(`x${"ü".repeat(511)}`);
  expect((await to.stored(await acceptOne(to))).delivery.attempts[0]?.responseStart).toBe("\ufffdA\u0000");
});

test("Retry-After of 429 and 503 is waited for, and of nothing else", async () => {
  for (const [status, waits] of [
    [429, 600_000],
    [503, 600_000],
    [500, 5_000],
    [302, 5_000],
  ] as const) {
    const to = await begin(() => ({ status, headers: { "retry-after": "600" } }));
    const { delivery } = await to.stored(await acceptOne(to));
    expect((delivery.nextAttemptTime ?? 0) - to.clock.now()).toBe(waits);
  }
});

test("a secret that can't be opened fails the attempt without sending and without blaming the receiver", async () => {
  const to = await begin(() => ({}));
  const one = order({ secrets: ["s"] });
  one.sealedSecrets = ["v1.unknown.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
  await to.accept([one]);
  await to.notifier.idle();
  expect(to.posted).toHaveLength(0);
  const { delivery } = await to.stored(one.id);
  expect(delivery).toMatchObject({ state: "pending", made: 1 });
  expect(delivery.attempts[0]?.error).toContain("SECRET_KEY");
});

test("an endpoint that keeps failing is paused, its messages wait uncounted, one probe at a time, and all arrive when it is back", async () => {
  let isUp = false;
  const to = await begin(() => ({ status: isUp ? 200 : 503 }));
  const orders = Array.from({ length: 40 }, () => order());
  await to.accept(orders);
  await to.notifier.idle();
  // Five failures, one after the other, open the circuit.
  expect(to.posted).toHaveLength(5);
  const states = await Promise.all(orders.map(async (one) => (await to.stored(one.id)).delivery));
  // The first four wait for their own retry, due before the pause is over; then they wait for its end as well.
  expect(states.map((one) => one.state).sort()).toEqual([...Array(36).fill("paused"), ...Array(4).fill("pending")]);
  expect(states.reduce((sum, one) => sum + one.made, 0)).toBe(5);
  expect(await to.store.getEndpoint("acme https://receiver.example")).toMatchObject({ consecutiveFailures: 5 });

  await to.live(10 * 60_000);
  // Pauses of 10, 20, 40, ... seconds: one probe after each, each with a message that was tried least.
  expect(to.posted).toHaveLength(10);
  expect(new Set(to.posted.map((one) => one.id)).size).toBe(10);

  isUp = true;
  await to.live(20 * 60_000);
  const after = await Promise.all(orders.map(async (one) => (await to.stored(one.id)).delivery));
  expect(after.every((one) => one.state === "delivered" && !one.unreported)).toBe(true);
  expect(to.posted).toHaveLength(10 + 40);
  expect(await to.store.getEndpoint("acme https://receiver.example")).toEqual({
    endpoint: "acme https://receiver.example",
    consecutiveFailures: 0,
  });
});

test("a message accepted while its endpoint is paused is paused from the start, and reported as such", async () => {
  const to = await begin(() => ({ status: 500 }));
  for (let i = 0; i < 5; i++) await acceptOne(to);
  const before = to.posted.length;
  const id = await acceptOne(to);
  expect(to.posted).toHaveLength(before);
  expect((await to.stored(id)).delivery).toMatchObject({ state: "paused", made: 0, sequence: 1, unreported: false });
  expect(to.reports.standings.at(-1)).toMatchObject({ state: DeliveryState.PAUSED });
  // Another origin of the same project is not concerned.
  await acceptOne(to, { url: "https://other.example/" });
  expect(to.posted).toHaveLength(before + 1);
});

test("answers that are no sign of trouble, such as 404, never pause an endpoint", async () => {
  const to = await begin(() => ({ status: 404 }));
  for (let i = 0; i < 20; i++) await acceptOne(to);
  expect(to.posted).toHaveLength(20);
  expect(await to.store.getEndpoint("acme https://receiver.example")).toBeUndefined();
});

test("a backlog larger than memory is sent to the last message", async () => {
  const to = await begin(() => ({}));
  const orders = Array.from({ length: 2_000 }, () => order());
  for (let at = 0; at < orders.length; at += 250) await to.accept(orders.slice(at, at + 250));
  for (let i = 0; i < 20 && to.posted.length < 2_000; i++) await to.live(hourMs);
  expect(new Set(to.posted.map((one: Posted) => one.id)).size).toBe(2_000);
  expect(to.posted).toHaveLength(2_000);
  expect(to.notifier.counts()).toMatchObject({ held: 0, heldBytes: 0, sending: 0 });
});

test("while the scheduler is away standings stay unreported, and are reported when it is back", async () => {
  const to = await begin(() => ({}));
  to.reports.state.isAway = true;
  const id = await acceptOne(to);
  expect((await to.stored(id)).delivery).toMatchObject({ state: "delivered", unreported: true });
  await to.live(60_000);
  // Tried with growing pauses: 0.25, 0.5, 1, 2, 4, 8, 16 and 30 s.
  expect(to.reports.state.calls).toBeGreaterThan(4);
  expect(to.reports.state.calls).toBeLessThan(12);
  to.reports.state.isAway = false;
  await to.live(31_000);
  expect((await to.stored(id)).delivery.unreported).toBe(false);
});
