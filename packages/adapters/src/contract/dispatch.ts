import type { Ticket, TicketInlet, TicketOutlet, TicketVerdict } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { hostileStrings } from "./opened.ts";

/** A dispatch without any ticket, and what gives it back. */
export interface OpenedDispatch {
  readonly outlet: TicketOutlet;
  readonly inlet: TicketInlet;
  close(): Promise<void>;
}

/** Opens one whose outlet refuses as `full` beyond `window` tickets per partition; called once per test. */
export type OpenDispatch = (options: { readonly window: number }) => Promise<OpenedDispatch>;

const done: TicketVerdict = { kind: "done" };

export function ticketOf(taskId: string, more: Partial<Ticket> = {}): Ticket {
  return { project: "default", taskId, attempt: 0, alone: false, ...more };
}

export function ticketsOf(count: number, name = "task"): Ticket[] {
  return Array.from({ length: count }, (_, n) => ticketOf(`${name}-${n}`));
}

/** A taker that keeps what it gets and lets tests wait for a number of tickets. */
export function collector(answer: (ticket: Ticket) => TicketVerdict | Promise<TicketVerdict> = () => done) {
  const tickets: Ticket[] = [];
  const groups: number[] = [];
  let waiting: { count: number; resolve: () => void }[] = [];
  return {
    tickets,
    groups,
    ids: () => tickets.map((ticket) => ticket.taskId),
    take: async (group: readonly Ticket[]) => {
      tickets.push(...group);
      groups.push(group.length);
      const verdicts = group.map(answer);
      for (const one of waiting) if (tickets.length >= one.count) one.resolve();
      waiting = waiting.filter((one) => tickets.length < one.count);
      return await Promise.all(verdicts);
    },
    until: (count: number) =>
      new Promise<void>((resolve) => {
        if (tickets.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
  };
}

/** Resolves when the outlet counts `count` unclaimed tickets of the partition; each look is a round trip to the broker. */
async function untilUnclaimed(outlet: TicketOutlet, partition: number, count: number): Promise<void> {
  while ((await outlet.unclaimed([partition])).get(partition) !== count) await turn();
}

/** Lets the event loop turn, so that what is on its way can arrive. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Several round trips: whatever would arrive without being asked for has arrived by then. */
async function settle(outlet: TicketOutlet): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await outlet.unclaimed([0, 1, 2, 3]);
    for (let turns = 0; turns < 50; turns++) await turn();
  }
}

/** What every dispatch must do, whatever carries the tickets. */
export function testDispatch(name: string, open: OpenDispatch): void {
  describe(`${name} dispatch`, () => {
    const check = (fact: string, body: (opened: OpenedDispatch) => Promise<void>, window = 100): void => {
      test(fact, async () => {
        const opened = await open({ window });
        try {
          await body(opened);
        } finally {
          await opened.close();
        }
      });
    };

    check("a ticket arrives as it was published, whatever the project is called", async ({ outlet, inlet }) => {
      const names = ["default", "with space", ...hostileStrings.filter((one) => one !== "")];
      const sent = names.map((project, n) => ticketOf(`t${n}`, { project, attempt: n * 1_000, alone: n % 2 === 1 }));
      expect(await outlet.publish(7, sent)).toEqual(sent.map(() => "published"));
      const got = collector();
      const flow = inlet.consume(got.take);
      flow.grant(sent.length);
      await got.until(sent.length);
      expect(got.tickets).toEqual(sent);
      await flow.stop();
    });

    check("tickets arrive in the order in which they were published, in few groups", async ({ outlet, inlet }) => {
      const got = collector();
      const flow = inlet.consume(got.take);
      flow.grant(100);
      const sent = ticketsOf(64);
      await outlet.publish(0, sent);
      await got.until(64);
      expect(got.tickets).toEqual(sent);
      expect(got.groups.length).toBeLessThan(32);
      await flow.stop();
    });

    check("publishing nothing answers nothing", async ({ outlet }) => {
      expect(await outlet.publish(0, [])).toEqual([]);
      expect(await outlet.unclaimed([])).toEqual(new Map());
    });

    check("a task's second ticket is pending until its first is answered for, within a group too", async ({ outlet, inlet }) => {
      expect(await outlet.publish(0, [ticketOf("a"), ticketOf("b"), ticketOf("a")])).toEqual([
        "published",
        "published",
        "pending",
      ]);
      expect(await outlet.publish(0, [ticketOf("b", { attempt: 5 })])).toEqual(["pending"]);
      const answers: (() => void)[] = [];
      const got = collector(() => new Promise<TicketVerdict>((resolve) => answers.push(() => resolve(done))));
      const flow = inlet.consume(got.take);
      flow.grant(3);
      await got.until(2);
      expect(await outlet.publish(0, [ticketOf("a")])).toEqual(["pending"]);
      for (const give of answers) give();
      await untilUnclaimed(outlet, 0, 0);
      expect(await outlet.publish(0, [ticketOf("a")])).toEqual(["published"]);
      await got.until(3);
      expect(got.ids()).toEqual(["a", "b", "a"]);
      for (const give of answers) give();
      await flow.stop();
    });

    check(
      "beyond its window a partition is full, the others are not, and an answered ticket makes room",
      async ({ outlet, inlet }) => {
        expect(await outlet.publish(1, ticketsOf(5, "one"))).toEqual(["published", "published", "published", "full", "full"]);
        expect(await outlet.publish(1, [ticketOf("more")])).toEqual(["full"]);
        expect(await outlet.publish(2, ticketsOf(3, "two"))).toEqual(["published", "published", "published"]);
        expect(await outlet.unclaimed([0, 1, 2])).toEqual(
          new Map([
            [0, 0],
            [1, 3],
            [2, 3],
          ]),
        );
        const got = collector();
        const flow = inlet.consume(got.take);
        flow.grant(1);
        await got.until(1);
        await untilUnclaimed(outlet, 1, 2);
        expect(await outlet.publish(1, [ticketOf("more"), ticketOf("most")])).toEqual(["published", "full"]);
        await flow.stop();
      },
      3,
    );

    check("a ticket counts as unclaimed until it is answered for", async ({ outlet, inlet }) => {
      await outlet.publish(3, ticketsOf(4));
      let give = (): void => {};
      const answered = new Promise<TicketVerdict>((resolve) => {
        give = () => resolve(done);
      });
      const got = collector(() => answered);
      const flow = inlet.consume(got.take);
      flow.grant(4);
      await got.until(4);
      expect((await outlet.unclaimed([3])).get(3)).toBe(4);
      give();
      await untilUnclaimed(outlet, 3, 0);
      await flow.stop();
    });

    check("never more arrives than was granted", async ({ outlet, inlet }) => {
      const got = collector();
      const flow = inlet.consume(got.take);
      await outlet.publish(0, ticketsOf(20));
      await settle(outlet);
      expect(got.tickets).toHaveLength(0);
      for (const granted of [1, 2, 5]) {
        const before = got.tickets.length;
        flow.grant(granted);
        await got.until(before + granted);
        await settle(outlet);
        expect(got.tickets).toHaveLength(before + granted);
      }
      await flow.stop();
    });

    check("what was granted while nothing was there is used by what comes later", async ({ outlet, inlet }) => {
      const got = collector();
      const flow = inlet.consume(got.take);
      for (let i = 0; i < 10; i++) {
        flow.grant(1);
        await turn();
      }
      await settle(outlet);
      for (let i = 0; i < 12; i++) await outlet.publish(0, [ticketOf(`t${i}`)]);
      await got.until(10);
      await settle(outlet);
      expect(got.tickets).toHaveLength(10);
      await flow.stop();
    });

    check("a grant that is no whole number is refused", async ({ inlet }) => {
      const flow = inlet.consume(collector().take);
      for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => flow.grant(bad)).toThrow("whole numbers");
      await flow.stop();
    });

    check(
      "a ticket to retry comes back after its delay, uses credit again and stays pending meanwhile",
      async ({ outlet, inlet }) => {
        const times: number[] = [];
        const got = collector(() => {
          times.push(performance.now());
          return times.length === 1 ? { kind: "retry", delayMs: 200 } : done;
        });
        const flow = inlet.consume(got.take);
        flow.grant(1);
        await outlet.publish(0, [ticketOf("again")]);
        await got.until(1);
        await settle(outlet);
        expect(await outlet.publish(0, [ticketOf("again")])).toEqual(["pending"]);
        flow.grant(1);
        await got.until(2);
        expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(190);
        await untilUnclaimed(outlet, 0, 0);
        await flow.stop();
      },
    );

    check("when the taker fails its tickets come back", async ({ outlet, inlet }) => {
      const got = collector();
      let failures = 1;
      const flow = inlet.consume(async (tickets) => {
        if (failures-- > 0) throw new Error("the scheduler is away");
        return await got.take(tickets);
      });
      await outlet.publish(0, ticketsOf(3));
      flow.grant(6);
      await got.until(3);
      expect(new Set(got.ids())).toEqual(new Set(["task-0", "task-1", "task-2"]));
      await untilUnclaimed(outlet, 0, 0);
      await flow.stop();
    });

    check("a ticket without a verdict comes back", async ({ outlet, inlet }) => {
      const got = collector();
      let short = true;
      const flow = inlet.consume(async (tickets) => {
        const verdicts = await got.take(tickets);
        if (!short) return verdicts;
        short = false;
        return verdicts.slice(0, -1);
      });
      await outlet.publish(0, ticketsOf(3));
      flow.grant(4);
      await got.until(4);
      expect(new Set(got.ids()).size).toBe(3);
      await untilUnclaimed(outlet, 0, 0);
      await flow.stop();
    });

    check("several consumers share: each ticket goes to one of them, and none goes without", async ({ outlet, inlet }) => {
      const all = [collector(), collector(), collector()];
      const flows = all.map((got) => inlet.consume(got.take));
      for (const flow of flows) flow.grant(20);
      await settle(outlet);
      for (let round = 0; round < 6; round++) await outlet.publish(round, ticketsOf(10, `r${round}`));
      await Promise.all(all.map((got) => got.until(20)));
      const ids = all.flatMap((got) => got.ids());
      expect(ids).toHaveLength(60);
      expect(new Set(ids).size).toBe(60);
      await Promise.all(flows.map((flow) => flow.stop()));
    });

    check("a stopped consumer gets nothing more, and what it left goes to another", async ({ outlet, inlet }) => {
      const first = collector();
      const stopped = inlet.consume(first.take);
      stopped.grant(50);
      await outlet.publish(0, [ticketOf("before")]);
      await first.until(1);
      await stopped.stop();
      stopped.grant(50);
      await outlet.publish(0, ticketsOf(10));
      const second = collector();
      const flow = inlet.consume(second.take);
      flow.grant(10);
      await second.until(10);
      expect(first.ids()).toEqual(["before"]);
      await flow.stop();
      await stopped.stop();
    });

    check("stop waits for the answers under way, and they count", async ({ outlet, inlet }) => {
      let give = (): void => {};
      const answered = new Promise<TicketVerdict>((resolve) => {
        give = () => resolve(done);
      });
      const got = collector(() => answered);
      const flow = inlet.consume(got.take);
      flow.grant(2);
      await outlet.publish(0, ticketsOf(2));
      await got.until(2);
      let stopped = false;
      const stopping = flow.stop().then(() => {
        stopped = true;
      });
      await settle(outlet);
      expect(stopped).toBe(false);
      give();
      await stopping;
      await untilUnclaimed(outlet, 0, 0);
    });

    check("thousands of tickets each arrive once, while takers grant as they finish", async ({ outlet, inlet }) => {
      const count = 3_000;
      const all = [collector(), collector()];
      const flows = all.map((got) => {
        const flow = inlet.consume(async (tickets) => {
          const verdicts = await got.take(tickets);
          flow.grant(tickets.length);
          return verdicts;
        });
        flow.grant(16);
        return flow;
      });
      let waiting = ticketsOf(count);
      while (waiting.length > 0) {
        const group = waiting.slice(0, 64);
        const results = await outlet.publish(0, group);
        expect(results).not.toContain("pending");
        waiting = [...group.filter((_, at) => results[at] === "full"), ...waiting.slice(64)];
        if (results.includes("full")) await turn();
      }
      await untilUnclaimed(outlet, 0, 0);
      const ids = all.flatMap((got) => got.ids());
      expect(ids).toHaveLength(count);
      expect(new Set(ids).size).toBe(count);
      await Promise.all(flows.map((flow) => flow.stop()));
    });
  });
}
