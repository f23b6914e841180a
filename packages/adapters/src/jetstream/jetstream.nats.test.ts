import { testNats } from "@longhaul/testkit";
import { describe, expect, test, vi } from "vitest";
import { collector, testDispatch, ticketOf, ticketsOf } from "../contract/dispatch.ts";
import { testLive } from "../contract/live.ts";
import { connectNats, jetstreamDispatch, type NatsLink, natsLive } from "./index.ts";

/** A stream and subjects of their own for a test. */
function ownNames() {
  const { prefix } = testNats();
  return { stream: `${prefix}_TICKETS`, prefix };
}

async function linked(name: string): Promise<NatsLink> {
  const link = connectNats({ url: testNats().url, name });
  await link.connected();
  return link;
}

testDispatch("jetstream", async ({ window }) => {
  const [outside, inside] = await Promise.all([linked("outlet"), linked("inlet")]);
  const names = ownNames();
  const sending = jetstreamDispatch(outside, { ...names, window });
  const taking = jetstreamDispatch(inside, { ...names, window, rejectedDelayMs: 50 });
  return {
    outlet: sending.outlet,
    inlet: taking.inlet,
    async close() {
      sending.close();
      taking.close();
      await outside.connection().request(`$JS.API.STREAM.DELETE.${names.stream}`);
      await Promise.all([outside.close(), inside.close()]);
    },
  };
});

testLive("nats", async () => {
  const [here, there] = await Promise.all([linked("here"), linked("there")]);
  const { prefix } = ownNames();
  return {
    here: natsLive(here, { prefix }),
    there: natsLive(there, { prefix }),
    close: async () => void (await Promise.all([here.close(), there.close()])),
  };
});

describe("the stream of tickets", () => {
  async function withDispatch(
    options: Parameters<typeof jetstreamDispatch>[1],
    body: (dispatch: ReturnType<typeof jetstreamDispatch>, link: NatsLink, names: ReturnType<typeof ownNames>) => Promise<void>,
  ): Promise<void> {
    const link = await linked("test");
    const names = ownNames();
    const dispatch = jetstreamDispatch(link, { ...names, ...options });
    try {
      await body(dispatch, link, names);
    } finally {
      dispatch.close();
      await link.close();
    }
  }

  test("when the whole stream is full, tickets are refused as full even though their partition has room", () =>
    withDispatch({ maxTickets: 3, window: 100 }, async ({ outlet }) => {
      expect(await outlet.publish(0, ticketsOf(2, "a"))).toEqual(["published", "published"]);
      expect(await outlet.publish(1, [ticketOf("b"), ticketOf("c"), ticketOf("b")])).toEqual(["published", "full", "pending"]);
    }));

  test("a message that is no ticket is removed, and its credit is not lost", () =>
    withDispatch({}, async ({ outlet, inlet }, link, { prefix }) => {
      await outlet.publish(0, [ticketOf("first")]);
      link.connection().publish(`${prefix}.tickets.0.evil`, "x".repeat(1_000));
      link.connection().publish(`${prefix}.tickets.0.empty`);
      link.connection().publish(`${prefix}.tickets.nonsense.a.b.c`, "\u0000");
      await link.connection().flush();
      await outlet.publish(0, [ticketOf("second")]);
      const got = collector();
      const flow = inlet.consume(got.take);
      flow.grant(2);
      await got.until(2);
      expect(got.ids()).toEqual(["first", "second"]);
      await flow.stop();
      await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(0));
    }));

  test("a task id that is no subject token is refused and nothing is sent", () =>
    withDispatch({}, async ({ outlet }) => {
      for (const bad of ["", "a.b", "*", ">", "a b", "a\r\n"]) {
        await expect(outlet.publish(0, [ticketOf("fine"), ticketOf(bad)])).rejects.toMatchObject({ code: "invalid_argument" });
      }
      expect((await outlet.unclaimed([0])).get(0)).toBe(0);
    }));

  test("a ticket whose taker vanished comes back after the acknowledgement wait", () =>
    withDispatch({ ackWaitMs: 300 }, async ({ outlet, inlet }, _link, names) => {
      const gone = await linked("gone");
      const lost = jetstreamDispatch(gone, { ...names, ackWaitMs: 300 });
      const taken = collector(() => new Promise(() => {}));
      lost.inlet.consume(taken.take).grant(1);
      await outlet.publish(0, [ticketOf("t")]);
      await taken.until(1);
      lost.close();
      await gone.close();
      const got = collector();
      const flow = inlet.consume(got.take);
      flow.grant(1);
      await got.until(1);
      expect(got.ids()).toEqual(["t"]);
      await flow.stop();
    }));

  test("credit outlives pulls that expire, and none of it is doubled", () =>
    withDispatch({ pullMs: 400, heartbeatMs: 150 }, async ({ outlet, inlet }, link, { stream }) => {
      await outlet.unclaimed([0]);
      let ended = 0;
      // The server says on the reply subject that a pull has expired; those of this connection all begin alike.
      link.connection().subscribe("_INBOX.>", { callback: (_err, msg) => void (msg.headers?.code === 408 && ended++) });
      const got = collector();
      const flow = inlet.consume(got.take);
      for (let i = 0; i < 5; i++) {
        flow.grant(2);
        await link.connection().flush();
      }
      await vi.waitFor(() => expect(ended).toBeGreaterThan(6), { timeout: 10_000 });
      await outlet.publish(0, ticketsOf(30));
      await got.until(10);
      await vi.waitFor(async () => expect((await outlet.unclaimed([0])).get(0)).toBe(20));
      const info = await link.connection().request(`$JS.API.CONSUMER.INFO.${stream}.executors`);
      expect(info.json<{ num_waiting: number; num_ack_pending: number }>()).toMatchObject({ num_waiting: 0, num_ack_pending: 0 });
      expect(got.tickets).toHaveLength(10);
      await flow.stop();
    }));

  test("credit granted piece by piece is asked for as soon as earlier pulls are used up, without waiting for any clock", () =>
    withDispatch({ pullMs: 300_000, heartbeatMs: 100_000 }, async ({ outlet, inlet }, link) => {
      const got = collector();
      const flow = inlet.consume(got.take);
      for (let i = 0; i < 50; i++) {
        flow.grant(1);
        await link.connection().flush();
      }
      for (let i = 0; i < 5; i++) await outlet.publish(i, ticketsOf(10, `r${i}`));
      await got.until(50);
      await flow.stop();
    }));

  test("two processes that start at once make one stream and one consumer", async () => {
    const names = ownNames();
    const links = await Promise.all(Array.from({ length: 4 }, (_, n) => linked(`p${n}`)));
    const all = links.map((link) => jetstreamDispatch(link, names));
    await Promise.all(all.map((one, n) => one.outlet.publish(n, [ticketOf(`t${n}`)])));
    const got = collector();
    const flows = all.map((one) => one.inlet.consume(got.take));
    for (const flow of flows) flow.grant(1);
    await got.until(4);
    expect(new Set(got.ids()).size).toBe(4);
    await Promise.all(flows.map((flow) => flow.stop()));
    for (const one of all) one.close();
    await Promise.all(links.map((link) => link.close()));
  });

  test("a larger window is brought to a stream that is there already", async () => {
    const link = await linked("test");
    const names = ownNames();
    const small = jetstreamDispatch(link, { ...names, maxTickets: 2 });
    expect(await small.outlet.publish(0, ticketsOf(3))).toEqual(["published", "published", "full"]);
    small.close();
    const large = jetstreamDispatch(link, { ...names, maxTickets: 5 });
    expect(await large.outlet.publish(0, ticketsOf(3))).toEqual(["pending", "pending", "published"]);
    large.close();
    await link.close();
  });

  test("what a taker was granted and did not use goes back when it stops, even in the middle of a burst", () =>
    withDispatch({ window: 2_000 }, async ({ outlet, inlet }) => {
      const all = [collector(), collector()];
      const first = inlet.consume(all[0]?.take ?? collector().take);
      first.grant(400);
      const sent = outlet.publish(0, ticketsOf(1_000));
      await all[0]?.until(1);
      await first.stop();
      await sent;
      const before = all[0]?.tickets.length ?? 0;
      const second = inlet.consume(all[1]?.take ?? collector().take);
      second.grant(1_000 - before);
      await all[1]?.until(1_000 - before);
      expect(new Set(all.flatMap((got) => got.ids())).size).toBe(1_000);
      await second.stop();
    }));
});
