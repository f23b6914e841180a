import type { DeliveryStore, StoredDelivery } from "@longhaul/core";
import type { LogFields, Logger } from "@longhaul/shared";
import type { Clock } from "../clock.ts";
import type { LaneView } from "../lanes/lanes.ts";

export interface SweeperDeps {
  readonly store: DeliveryStore;
  readonly clock: Clock;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  /** How often it looks although nothing told it to: the safety net. */
  readonly sweepMs: number;
  readonly view: (endpoint: string) => Promise<LaneView>;
  readonly offer: (stored: StoredDelivery) => boolean;
  readonly noteMore: (endpoint: string, mayHaveMore: boolean) => void;
  readonly pauseAll: (items: readonly StoredDelivery[], until: number) => Promise<void>;
}

/** Brings due deliveries from the store into the lanes, as far as these have room. */
export interface Sweeper {
  start(): void;
  stop(): void;
  /** Something becomes due at `time`. */
  expect(time: number): void;
  /** One endpoint has room again. */
  look(endpoint: string): void;
  /** A lane has nothing left in memory. */
  settled(): void;
  /** Resolves, with whether it had to wait, when no look is under way. */
  idle(): Promise<boolean>;
}

const endpointsPerPage = 256;
const endpointsAtOnce = 8;
const offeredAtOnce = 64;
const pausedAtOnce = 64;

export function sweeper(deps: SweeperDeps): Sweeper {
  const { store, clock, now, log } = deps;
  const work = new Map<string, Promise<void>>();
  const looks = new Set<Promise<void>>();
  let isRunning = false;
  let isSweeping = false;
  let rung = false;
  let isBehind = false;
  let sweep: Promise<void> | undefined;
  let wakeAt = Number.POSITIVE_INFINITY;
  let stopTimer: (() => void) | undefined;

  function wakeBy(time: number): void {
    if (!isRunning || time >= wakeAt) return;
    stopTimer?.();
    wakeAt = time;
    stopTimer = clock.later(Math.max(0, time - now()), () => {
      wakeAt = Number.POSITIVE_INFINITY;
      stopTimer = undefined;
      run();
    });
  }

  function run(): void {
    if (!isRunning) return;
    if (isSweeping) {
      rung = true;
      return;
    }
    isSweeping = true;
    sweep = sweepAll().finally(() => {
      isSweeping = false;
      sweep = undefined;
    });
  }

  async function sweepAll(): Promise<void> {
    try {
      let due: number | undefined;
      do {
        rung = false;
        // One look at an index: with nothing due there is no walk over the endpoints.
        due = await store.nextDue();
        if (due === undefined || due > now()) break;
        await handleDue();
      } while (rung && isRunning);
      await wakeForNext();
    } catch (err) {
      log.warn({ err }, "due deliveries not read; looking again soon");
    }
    wakeBy(now() + deps.sweepMs);
  }

  async function wakeForNext(): Promise<void> {
    const due = await store.nextDue();
    // What is due already, because it waits in a lane or its lane is full, hides what comes next; `settled` looks again.
    isBehind = due !== undefined && due <= now();
    if (due !== undefined && due > now()) wakeBy(due);
  }

  function lookAgain(run: () => Promise<void>, fields: LogFields): void {
    const done = run()
      .then(wakeForNext)
      .catch((err: unknown) => log.warn({ ...fields, err }, "due deliveries not read; the next look tries again"));
    looks.add(done);
    void done.finally(() => looks.delete(done));
  }

  async function handleDue(): Promise<void> {
    const until = now();
    for (let after: string | undefined; isRunning; ) {
      const endpoints = await store.listDueEndpoints(until, endpointsPerPage, after);
      const queue = [...endpoints];
      // A few at once, so that one endpoint with a large backlog does not hold up the look at the others.
      const worker = async (): Promise<void> => {
        for (let endpoint = queue.shift(); endpoint !== undefined && isRunning; endpoint = queue.shift())
          await handleOnce(endpoint);
      };
      await Promise.all(Array.from({ length: endpointsAtOnce }, worker));
      after = endpoints.at(-1);
      if (endpoints.length < endpointsPerPage) return;
    }
  }

  /** One look at an endpoint at a time; a second one joins the first. */
  function handleOnce(endpoint: string): Promise<void> {
    const underWay = work.get(endpoint);
    if (underWay) return underWay;
    const begun = handle(endpoint).finally(() => work.delete(endpoint));
    work.set(endpoint, begun);
    return begun;
  }

  async function handle(endpoint: string): Promise<void> {
    const view = await deps.view(endpoint);
    if (view.kind === "paused") {
      const due = await store.listDue(endpoint, now(), pausedAtOnce);
      if (due.length > 0) await deps.pauseAll(due, view.until);
      // The rest has its turn after the other endpoints.
      if (due.length === pausedAtOnce) rung = true;
      return;
    }
    if (view.room === 0) {
      deps.noteMore(endpoint, true);
      return;
    }
    // Those that wait in memory may be due in the store as well and come first.
    const limit = view.waiting + Math.min(view.room, offeredAtOnce);
    const due = await store.listDue(endpoint, now(), limit);
    deps.noteMore(endpoint, due.length === limit);
    for (const stored of due) deps.offer(stored);
  }

  return {
    start() {
      isRunning = true;
      run();
    },
    stop() {
      isRunning = false;
      stopTimer?.();
      stopTimer = undefined;
      wakeAt = Number.POSITIVE_INFINITY;
    },
    expect: wakeBy,
    look(endpoint) {
      if (isRunning) lookAgain(() => handleOnce(endpoint), { endpoint });
    },
    settled() {
      if (!isRunning || !isBehind) return;
      isBehind = false;
      lookAgain(async () => {}, {});
    },
    async idle() {
      if (sweep === undefined && looks.size === 0) return false;
      while (sweep !== undefined || looks.size > 0) {
        await sweep;
        await Promise.all(looks);
      }
      return true;
    },
  };
}
