import type { Delivery, DeliveryAttempt, DeliveryStore } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { delivered, delivery, startOfTime as t0 } from "./builders.ts";
import { hostileRecord, hostileStrings, type Open, withStore } from "./opened.ts";

const attempt: DeliveryAttempt = {
  number: 1,
  time: t0,
  status: 500,
  latencyMs: 12,
  error: "Answered 500.",
  responseStart: "oops\u0000",
};

/** What every DeliveryStore must do. `open` gives a fresh, empty store for each test. */
export function testDeliveryStore(name: string, open: Open<DeliveryStore>): void {
  describe(`${name} as a DeliveryStore`, () => {
    test("an inserted delivery is read back at revision 0, and only in its project", () =>
      withStore(open, async (store) => {
        const one = delivery();
        expect(await store.insert([one])).toEqual(["inserted"]);
        expect(await store.get("acme", one.id)).toStrictEqual({ delivery: one, rev: 0 });
        expect(await store.get("other", one.id)).toBeUndefined();
        expect(await store.get("acme", "nothing")).toBeUndefined();
        expect(await store.insert([])).toEqual([]);
        expect(await store.replace([])).toEqual([]);
      }));

    test("every form of a delivery comes back exactly, through insert and through replace", () =>
      withStore(open, async (store) => {
        const forms = [
          delivery(),
          delivered(delivery()),
          delivery({ state: "paused", attempts: [attempt, { ...attempt, number: 2, error: "" }], made: 9, madeInRound: 2 }),
          delivery({ body: JSON.stringify({ large: "ä".repeat(150_000) }), sealedSecrets: [], sealedHeaders: {} }),
          delivery({ body: JSON.stringify(hostileStrings), sealedHeaders: hostileRecord(), unreported: true }),
          { ...delivered(delivery()), state: "exhausted" as const, attempts: Array.from({ length: 50 }, () => attempt) },
        ];
        expect(await store.insert(forms)).toEqual(forms.map(() => "inserted"));
        for (const form of forms) expect(await store.get("acme", form.id)).toStrictEqual({ delivery: form, rev: 0 });
        // The message itself never changes; how it stands does.
        const nexts = forms.map((form) => {
          const next: Delivery = { ...form, state: "pending", nextAttemptTime: t0 + 5, attempts: [attempt], sequence: 7 };
          return next;
        });
        expect(await store.replace(nexts.map((next) => ({ next, rev: 0 })))).toEqual(nexts.map(() => "replaced"));
        for (const next of nexts) expect(await store.get("acme", next.id)).toStrictEqual({ delivery: next, rev: 1 });
        const finals = nexts.map(delivered);
        await store.replace(finals.map((next) => ({ next, rev: 1 })));
        for (const next of finals) expect(await store.get("acme", next.id)).toStrictEqual({ delivery: next, rev: 2 });
      }));

    test("a repeated insert says exists and changes nothing, in one call and in concurrent ones", () =>
      withStore(open, async (store) => {
        const one = delivery();
        const other = delivery();
        expect(await store.insert([one, { ...one, body: "changed" }, other])).toEqual(["inserted", "exists", "inserted"]);
        const answers = await Promise.all(Array.from({ length: 100 }, () => store.insert([{ ...one, body: "changed" }])));
        expect(answers.flat().every((answer) => answer === "exists")).toBe(true);
        expect((await store.get("acme", one.id))?.delivery).toStrictEqual(one);
      }));

    test("of many concurrent changes over one revision one is written", () =>
      withStore(open, async (store) => {
        const one = delivery();
        await store.insert([one]);
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, at) => store.replace([{ next: { ...one, made: at + 1 }, rev: 0 }])),
        );
        expect(answers.filter((answer) => answer[0] === "replaced")).toHaveLength(1);
        const won = answers.findIndex((answer) => answer[0] === "replaced");
        expect(await store.get("acme", one.id)).toStrictEqual({ delivery: { ...one, made: won + 1 }, rev: 1 });
        expect(
          await store.replace([
            { next: one, rev: 0 },
            { next: delivery(), rev: 0 },
          ]),
        ).toEqual(["stale", "stale"]);
      }));

    test("a task's deliveries are listed by id, in pages, in its project only", () =>
      withStore(open, async (store) => {
        const taskId = "t-1";
        const mine = ["task.cancelled", "task.failed", "task.succeeded"].map((event) =>
          delivery({ taskId, event, id: `${taskId}.${event}` }),
        );
        await store.insert([...[...mine].reverse(), delivery(), delivery({ taskId, id: `${taskId}.x`, project: "other" })]);
        expect(await store.listByTask("acme", taskId, 10)).toStrictEqual(mine);
        expect(await store.listByTask("acme", taskId, 2)).toStrictEqual(mine.slice(0, 2));
        expect(await store.listByTask("acme", taskId, 2, mine[1]?.id)).toStrictEqual(mine.slice(2));
        expect(await store.listByTask("acme", "t", 10)).toEqual([]);
      }));

    test("what is exhausted is listed by id, in pages, in its project only, and no longer once it is tried again", () =>
      withStore(open, async (store) => {
        const failed = ["a", "b", "c"].map((id) => ({ ...delivered(delivery({ id })), state: "exhausted" as const }));
        await store.insert([
          ...[...failed].reverse(),
          delivered(delivery({ id: "d" })),
          delivery({ id: "e" }),
          { ...delivered(delivery({ id: "f", project: "other" })), state: "exhausted" as const },
        ]);
        expect(await store.listExhausted("acme", 10)).toEqual(["a", "b", "c"]);
        expect(await store.listExhausted("acme", 2)).toEqual(["a", "b"]);
        expect(await store.listExhausted("acme", 2, "b")).toEqual(["c"]);
        const [, second] = failed;
        if (second === undefined) throw new Error("there are three");
        await store.replace([{ next: { ...second, state: "pending", nextAttemptTime: t0 }, rev: 0 }]);
        expect(await store.listExhausted("acme", 10)).toEqual(["a", "c"]);
      }));

    test("endpoints with something due are listed once each, by name, in pages", () =>
      withStore(open, async (store) => {
        const at = (endpoint: string, nextAttemptTime: number) => delivery({ endpoint, nextAttemptTime });
        await store.insert([
          ...Array.from({ length: 20 }, (_, index) => at("b", t0 + index)),
          at("a", t0 + 10),
          at("c", t0 + 11),
          at("d", t0 + 5),
          delivered(at("e", t0)),
        ]);
        expect(await store.listDueEndpoints(t0 + 10, 10)).toEqual(["a", "b", "d"]);
        expect(await store.listDueEndpoints(t0 + 10, 2)).toEqual(["a", "b"]);
        expect(await store.listDueEndpoints(t0 + 10, 2, "a")).toEqual(["b", "d"]);
        expect(await store.listDueEndpoints(t0 + 10, 2, "d")).toEqual([]);
        expect(await store.listDueEndpoints(t0 - 1, 10)).toEqual([]);
      }));

    test("what is due at one endpoint comes earliest first", () =>
      withStore(open, async (store) => {
        const at = (endpoint: string, nextAttemptTime: number) => delivery({ endpoint, nextAttemptTime });
        const due = [at("a", t0), at("a", t0 + 5), at("a", t0 + 10)];
        await store.insert([...[...due].reverse(), at("a", t0 + 11), at("b", t0), delivered(at("a", t0))]);
        expect(await store.listDue("a", t0 + 10, 10)).toStrictEqual(due.map((one) => ({ delivery: one, rev: 0 })));
        expect(await store.listDue("a", t0 + 10, 2)).toHaveLength(2);
        expect(await store.listDue("a", t0 - 1, 10)).toEqual([]);
        expect(await store.listDue("nowhere", t0 + 99, 10)).toEqual([]);
      }));

    test("the next time anything is due follows every change", () =>
      withStore(open, async (store) => {
        expect(await store.nextDue()).toBeUndefined();
        const [a, b] = [delivery({ nextAttemptTime: t0 + 5 }), delivery({ nextAttemptTime: t0 + 9 })];
        await store.insert([a, b]);
        expect(await store.nextDue()).toBe(t0 + 5);
        await store.replace([{ next: { ...a, nextAttemptTime: t0 + 20 }, rev: 0 }]);
        expect(await store.nextDue()).toBe(t0 + 9);
        await store.replace([{ next: delivered(b), rev: 0 }]);
        expect(await store.nextDue()).toBe(t0 + 20);
        await store.replace([{ next: delivered(a), rev: 1 }]);
        expect(await store.nextDue()).toBeUndefined();
      }));

    test("what the scheduler has not confirmed is listed until it has", () =>
      withStore(open, async (store) => {
        const fresh = Array.from({ length: 5 }, () => delivery({ unreported: true }));
        await store.insert([...fresh, delivery()]);
        const open_ = await store.listUnreported(10);
        expect(open_.map((one) => one.delivery.id).sort()).toEqual(fresh.map((one) => one.id).sort());
        expect(await store.listUnreported(2)).toHaveLength(2);
        await store.replace(open_.map(({ delivery: one, rev }) => ({ next: { ...one, unreported: false }, rev })));
        expect(await store.listUnreported(10)).toEqual([]);
      }));

    test("what was delivered or given up expires once the scheduler knows, counted from its last attempt; nothing else does", () =>
      withStore(open, async (store) => {
        const done = (over: Partial<Delivery>): Delivery => ({ ...delivered(delivery(over)), unreported: false });
        const late = done({ attempts: [attempt, { ...attempt, number: 2, time: t0 + 50 }] });
        const givenUp: Delivery = {
          ...done({ project: "other", attempts: [{ ...attempt, time: t0 + 20 }] }),
          state: "exhausted",
        };
        const untried = done({ createTime: t0 + 10 });
        const told = delivered(delivery({ createTime: t0 + 30 }));
        await store.insert([late, givenUp, untried, told, delivery(), delivery({ state: "paused" })]);
        const expired = [untried, givenUp, late].map(({ id, project }, at) => ({
          project,
          id,
          rev: 0,
          settledAt: t0 + ([10, 20, 50][at] ?? 0),
        }));
        expect(await store.listExpired(Number.MAX_SAFE_INTEGER, 10)).toStrictEqual(expired);
        expect(await store.listExpired(t0 + 20, 10)).toStrictEqual(expired.slice(0, 2));
        expect(await store.listExpired(t0 + 20, 1)).toStrictEqual(expired.slice(0, 1));
        expect(await store.listExpired(t0 + 9, 10)).toEqual([]);
        await store.replace([{ next: { ...told, unreported: false }, rev: 0 }]);
        expect((await store.listExpired(t0 + 30, 10)).map((one) => [one.id, one.rev])).toContainEqual([told.id, 1]);
      }));

    test("a removed delivery is gone; one that is sent again meanwhile stays", () =>
      withStore(open, async (store) => {
        const many = Array.from({ length: 100 }, () => ({ ...delivered(delivery()), unreported: false }));
        const replayed = { ...delivered(delivery({ createTime: t0 + 1 })), unreported: false };
        await store.insert([...many, replayed]);
        const listed = await store.listExpired(Number.MAX_SAFE_INTEGER, 200);
        expect(listed).toHaveLength(101);
        const again: Delivery = { ...replayed, state: "pending", nextAttemptTime: t0 + 99 };
        await store.replace([{ next: again, rev: 0 }]);
        expect(await store.remove([...listed, { project: "acme", id: "nothing", rev: 0, settledAt: t0 }])).toBe(100);
        expect(await store.get("acme", replayed.id)).toStrictEqual({ delivery: again, rev: 1 });
        expect(await store.get("acme", many[0]?.id ?? "")).toBeUndefined();
        expect(await store.listByTask("acme", many[1]?.taskId ?? "", 9)).toEqual([]);
        expect(await store.listExpired(Number.MAX_SAFE_INTEGER, 200)).toEqual([]);
        expect(await store.remove(listed)).toBe(0);
        expect(await store.remove([])).toBe(0);
        expect(await store.insert([many[0] ?? again])).toEqual(["inserted"]);
      }));

    test("an endpoint's health goes with its deliveries, but not while one of them is to be sent", () =>
      withStore(open, async (store) => {
        const done = (endpoint: string) => ({ ...delivered(delivery({ endpoint })), unreported: false });
        await store.insert([done("idle"), done("busy"), delivery({ endpoint: "busy" })]);
        for (const endpoint of ["idle", "busy", "other"]) await store.putEndpoint({ endpoint, consecutiveFailures: 2 });
        expect(await store.remove(await store.listExpired(Number.MAX_SAFE_INTEGER, 9))).toBe(2);
        expect(await store.getEndpoint("idle")).toBeUndefined();
        expect(await store.getEndpoint("busy")).toStrictEqual({ endpoint: "busy", consecutiveFailures: 2 });
        expect(await store.getEndpoint("other")).toStrictEqual({ endpoint: "other", consecutiveFailures: 2 });
      }));

    test("an endpoint's health is kept as it was last put", () =>
      withStore(open, async (store) => {
        expect(await store.getEndpoint("a")).toBeUndefined();
        await store.putEndpoint({ endpoint: "a", consecutiveFailures: 3, pausedUntil: t0 });
        await store.putEndpoint({ endpoint: "b", consecutiveFailures: 1 });
        expect(await store.getEndpoint("a")).toStrictEqual({ endpoint: "a", consecutiveFailures: 3, pausedUntil: t0 });
        await store.putEndpoint({ endpoint: "a", consecutiveFailures: 0 });
        expect(await store.getEndpoint("a")).toStrictEqual({ endpoint: "a", consecutiveFailures: 0 });
        expect(await store.getEndpoint("b")).toStrictEqual({ endpoint: "b", consecutiveFailures: 1 });
      }));

    test("now is the time of day in milliseconds", () =>
      withStore(open, async (store) => {
        expect(Math.abs((await store.now()) - Date.now())).toBeLessThan(60_000);
      }));
  });
}
