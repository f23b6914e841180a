import { createServer } from "node:net";
import { freePort, type NatsServer, natsServer } from "@longhaul/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { collector, ticketOf, ticketsOf } from "../contract/dispatch.ts";
import {
  connectNats,
  type JetstreamDispatch,
  type JetstreamDispatchOptions,
  jetstreamDispatch,
  type NatsLink,
  natsLive,
} from "./index.ts";

// Each of these harms the server, so they have one of their own.
let server: NatsServer;
const closers: (() => void | Promise<void>)[] = [];
let streams = 0;
let stream = "";
beforeAll(async () => {
  server = await natsServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  stream = `TICKETS_${++streams}`;
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function linkTo(url: string): NatsLink {
  const link = connectNats({ url, name: "test", pingMs: 500, maxWaitMs: 300 });
  closers.push(() => link.close());
  return link;
}

function dispatchOn(link: NatsLink, options: JetstreamDispatchOptions = {}): JetstreamDispatch {
  const dispatch = jetstreamDispatch(link, { stream, prefix: `p${streams}`, ...options });
  closers.push(() => dispatch.close());
  return dispatch;
}

/** A scheduler's and an executor's end, each with a connection of its own. */
async function twoEnds(options: JetstreamDispatchOptions = {}) {
  const [outside, inside] = [linkTo(server.url), linkTo(server.url)];
  await Promise.all([outside.connected(), inside.connected()]);
  const sending = dispatchOn(outside, options);
  const taking = dispatchOn(inside, options);
  return { outside, inside, sending, taking, outlet: sending.outlet, inlet: taking.inlet };
}

function countLosses({ outlet }: JetstreamDispatch) {
  const seen = { count: 0 };
  outlet.onLoss(() => seen.count++);
  return seen;
}

const soon = { timeout: 5_000, interval: 20 };
const admin = (link: NatsLink, what: string) => link.connection().request(`$JS.API.${what}`);

/** Publishes until each is out, as a scheduler does that looks again after a refusal. */
async function publishAll({ outlet }: JetstreamDispatch, count: number, name: string): Promise<void> {
  await vi.waitFor(async () => {
    const results = await outlet.publish(0, ticketsOf(count, name));
    expect(results).not.toContain("full");
  }, soon);
}

describe("with a stream or consumer that is deleted", () => {
  test("a deleted consumer is made again and no ticket is lost", async () => {
    const { inside, sending, outlet, inlet } = await twoEnds();
    const got = collector();
    const flow = inlet.consume(got.take);
    flow.grant(10);
    await publishAll(sending, 5, "before");
    await got.until(5);
    // An answer that arrives after the deletion would bring its ticket back once more.
    await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(0), soon);
    await admin(inside, `CONSUMER.DELETE.${stream}.executors`);
    const from = performance.now();
    expect(await outlet.publish(0, ticketsOf(20, "after"))).not.toContain("full");
    await got.until(10);
    expect(performance.now() - from).toBeLessThan(2_000);
    flow.grant(15);
    await got.until(25);
    await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(0), soon);
    expect(new Set(got.ids()).size).toBe(25);
    expect(got.tickets).toHaveLength(25);
    await flow.stop();
  });

  test("a deleted stream is told to an idle scheduler within two seconds, even if an executor made it anew", async () => {
    const { inside, sending, inlet } = await twoEnds();
    const losses = countLosses(sending);
    await publishAll(sending, 20, "a");
    const got = collector();
    const flow = inlet.consume(got.take);
    flow.grant(5);
    await got.until(5);
    flow.grant(3);
    await got.until(8);
    const before = losses.count;
    flow.grant(0);
    await admin(inside, `STREAM.DELETE.${stream}`);
    const from = performance.now();
    await vi.waitFor(() => expect(losses.count).toBeGreaterThan(before), soon);
    expect(performance.now() - from).toBeLessThan(2_200);
    expect((await sending.outlet.unclaimed([0])).get(0)).toBe(0);
    flow.grant(20);
    await publishAll(sending, 20, "a");
    await got.until(28);
    await flow.stop();
  });

  test("a publish that finds no stream makes it, goes out, and tells the loss", async () => {
    const { outside, sending, outlet } = await twoEnds({ checkMs: 60_000 });
    const losses = countLosses(sending);
    await publishAll(sending, 3, "a");
    await vi.waitFor(() => expect(losses.count).toBe(1), soon);
    await admin(outside, `STREAM.DELETE.${stream}`);
    expect(await outlet.publish(0, ticketsOf(2, "a"))).toEqual(["published", "published"]);
    expect(losses.count).toBe(2);
    expect((await outlet.unclaimed([0])).get(0)).toBe(2);
  });

  test("deleted again and again under load, everything arrives in the end", async () => {
    const { outside, sending, outlet, inlet } = await twoEnds({ window: 50, checkMs: 100 });
    const left = new Set(ticketsOf(600).map((ticket) => ticket.taskId));
    // As the store would: what is claimed is remembered, and after a loss all the rest is published again.
    let again = true;
    outlet.onLoss(() => {
      again = true;
    });
    const flow = inlet.consume(async (tickets) => {
      for (const ticket of tickets) left.delete(ticket.taskId);
      flow.grant(tickets.length);
      return tickets.map(() => ({ kind: "done" }) as const);
    });
    flow.grant(8);
    let deletions = 0;
    let next: string[] = [];
    while (left.size > 0) {
      if (again || next.length === 0) next = [...left];
      again = false;
      const group = next.splice(0, 25).map((id) => ticketOf(id));
      await outlet.publish(0, group).catch(() => []);
      if (left.size < 600 - 100 * (deletions + 1) && deletions < 5) {
        deletions++;
        await admin(outside, deletions % 2 ? `STREAM.DELETE.${stream}` : `CONSUMER.DELETE.${stream}.executors`);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(deletions).toBe(5);
    await flow.stop();
    expect(sending.ready()).toBe(true);
  });
});

describe("with a server that goes away", () => {
  test("killed, wiped and started again: the loss is told, publishing works, and no credit is lost or doubled", async () => {
    const { sending, taking, outlet, inlet } = await twoEnds();
    const losses = countLosses(sending);
    const got = collector();
    const flow = inlet.consume(got.take);
    flow.grant(30);
    await publishAll(sending, 10, "before");
    await got.until(10);
    const before = losses.count;
    await server.kill();
    await vi.waitFor(() => expect(sending.ready() || taking.ready()).toBe(false), soon);
    flow.grant(5);
    const from = performance.now();
    await expect(outlet.publish(0, [ticketOf("x")])).rejects.toMatchObject({ code: "unavailable" });
    await expect(outlet.unclaimed([0])).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - from).toBeLessThan(100);
    await server.wipe();
    await server.restart();
    await vi.waitFor(() => expect(losses.count).toBeGreaterThan(before), soon);
    await publishAll(sending, 60, "after");
    await got.until(35);
    await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(60 - 25), soon);
    expect(got.tickets).toHaveLength(35);
    await flow.stop();
  });

  test("killed in the middle of a burst, a file stream keeps its tickets and never delivers more than granted", async () => {
    const { sending, outlet, inlet } = await twoEnds({ storage: "file", window: 2_000, ackWaitMs: 500 });
    await publishAll(sending, 1_000, "t");
    let granted = 0;
    let received = 0;
    const seen = new Set<string>();
    const flow = inlet.consume(async (tickets) => {
      received += tickets.length;
      expect(received).toBeLessThanOrEqual(granted);
      for (const ticket of tickets) seen.add(ticket.taskId);
      granted += tickets.length;
      flow.grant(tickets.length);
      return tickets.map(() => ({ kind: "done" }) as const);
    });
    granted += 32;
    flow.grant(32);
    await vi.waitFor(() => expect(seen.size).toBeGreaterThan(200), { ...soon, interval: 1 });
    await server.kill();
    await server.restart();
    await vi.waitFor(() => expect(seen.size).toBe(1_000), { timeout: 20_000, interval: 20 });
    await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(0), soon);
    expect(received).toBeLessThanOrEqual(granted);
    // All 32 are there still: so many more come, and not one over that.
    const before = received;
    const paused = granted;
    const others = collector(() => new Promise(() => {}));
    expect(paused - received).toBe(32);
    await flow.stop();
    const last = inlet.consume(others.take);
    last.grant(paused - before);
    await outlet.publish(0, ticketsOf(50, "more"));
    await others.until(32);
    expect(others.tickets).toHaveLength(32);
  });

  test("frozen, it is noticed: publishing rejects in time, and works again after the thaw", async () => {
    const { sending, outlet, inlet } = await twoEnds({ answerMs: 400, ackWaitMs: 500 });
    const got = collector();
    const flow = inlet.consume(got.take);
    flow.grant(4);
    await publishAll(sending, 2, "before");
    await got.until(2);
    server.freeze();
    try {
      // The signal takes a moment to arrive; what is published after that is not answered.
      let from = 0;
      const publishing = async (): Promise<void> => {
        for (let n = 0; ; n++) {
          from = performance.now();
          await outlet.publish(1, [ticketOf(`x${n}`)]);
        }
      };
      await expect(publishing()).rejects.toMatchObject({ code: "unavailable" });
      expect(performance.now() - from).toBeLessThan(1_500);
      await vi.waitFor(() => expect(sending.ready()).toBe(false), soon);
    } finally {
      server.thaw();
    }
    await publishAll(sending, 10, "after");
    await got.until(4);
    flow.grant(500);
    await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(0), soon);
    await flow.stop();
  });

  test("away at the start, it is waited for in the background, and everything works once it is there", async () => {
    const port = await freePort();
    const link = linkTo(`nats://127.0.0.1:${port}`);
    const dispatch = dispatchOn(link);
    const live = natsLive(link);
    const got = collector();
    const heard = vi.fn();
    const gap = vi.fn();
    const flow = dispatch.inlet.consume(got.take);
    flow.grant(2);
    live.onGap(gap);
    await live.subscribe("s", heard).ready;
    live.publish("s", "dropped");
    expect([link.ready(), dispatch.ready()]).toEqual([false, false]);
    await expect(dispatch.outlet.publish(0, [ticketOf("t")])).rejects.toMatchObject({ code: "unavailable" });
    const late = await natsServer({ port });
    try {
      await link.connected();
      await vi.waitFor(() => expect(dispatch.ready()).toBe(true), soon);
      await vi.waitFor(() => expect(gap).toHaveBeenCalledOnce(), soon);
      live.publish("s", "heard");
      await publishAll(dispatch, 2, "t");
      await got.until(2);
      await vi.waitFor(() => expect(heard.mock.calls).toEqual([["heard"]]), soon);
      await flow.stop();
    } finally {
      await late.stop();
    }
  });

  test("a server without JetStream leaves the dispatch unready and publishing unavailable", async () => {
    // Speaks just enough of the protocol to be connected to, and answers nothing else.
    const mute = createServer((socket) => {
      socket.on("error", () => {});
      socket.write('INFO {"server_id":"x","version":"2.12.0","proto":1,"headers":true,"max_payload":1048576}\r\n');
      socket.on("data", (data) => {
        if (data.toString().includes("PING")) socket.write("PONG\r\n");
      });
    });
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    closers.push(() => void mute.close());
    const at = mute.address();
    const link = linkTo(`nats://127.0.0.1:${at !== null && typeof at === "object" ? at.port : 0}`);
    await link.connected();
    const dispatch = dispatchOn(link);
    const from = performance.now();
    await expect(dispatch.outlet.publish(0, [ticketOf("t")])).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - from).toBeLessThan(3_000);
    expect(dispatch.ready()).toBe(false);
  });

  test("live subjects come back by themselves, and the gap is told once they do", async () => {
    const link = linkTo(server.url);
    await link.connected();
    const live = natsLive(link, { prefix: `p${streams}` });
    const heard = vi.fn();
    const gap = vi.fn();
    live.onGap(gap);
    await live.subscribe("s", heard).ready;
    live.publish("s", 1);
    await vi.waitFor(() => expect(heard).toHaveBeenCalledTimes(1), soon);
    expect(gap).not.toHaveBeenCalled();
    await server.kill();
    await vi.waitFor(() => expect(link.ready()).toBe(false), soon);
    const meanwhile = vi.fn();
    const from = performance.now();
    await live.subscribe("meanwhile", meanwhile).ready;
    expect(performance.now() - from).toBeLessThan(500);
    for (let i = 0; i < 10_000; i++) live.publish("s", "lost");
    await server.restart();
    await vi.waitFor(() => expect(gap).toHaveBeenCalledOnce(), soon);
    live.publish("s", 2);
    live.publish("meanwhile", 3);
    await vi.waitFor(() => expect(meanwhile.mock.calls).toEqual([[3]]), soon);
    expect(heard.mock.calls).toEqual([[1], [2]]);
    live.close();
  });

  test("a link that is closed before it was connected says so and leaves nothing behind", async () => {
    const link = connectNats({ url: `nats://127.0.0.1:${await freePort()}`, name: "test" });
    const waiting = link.connected();
    await link.close();
    await expect(waiting).rejects.toMatchObject({ code: "unavailable" });
    await expect(link.connected()).rejects.toMatchObject({ code: "unavailable" });
    expect(() => link.connection()).toThrow("can't be reached");
  });
});
