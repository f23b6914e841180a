import { AsyncLocalStorage } from "node:async_hooks";

/** A process that can die or stand still. Whatever it set off belongs to it. */
export interface SimulatedProcess {
  readonly name: string;
  /** Its timers never fire again, and nothing reaches it any more. */
  dead: boolean;
  /** Until then nothing of it runs; simulated milliseconds. */
  frozenUntil: number;
  /** How far its clock is from the true one. */
  readonly skewMs: number;
}

/** The clock and the event loop of a simulated world: timers fire in the order of their times, and only when time is passed on. */
export interface SimulatedTime {
  /** The true time, which is the database's; milliseconds since the epoch. */
  now(): number;
  /** Runs something as a process does it (`undefined`: as the world outside does): its timers are that process's. */
  as<T>(process: SimulatedProcess | undefined, run: () => T): T;
  /** Runs after `ms`, for the one given. */
  later(ms: number, run: () => void, process?: SimulatedProcess): void;
  /** Resolves after `ms`, whatever happens to the process that waits. */
  wait(ms: number): Promise<void>;
  /** Passes time on: fires what comes due, one after the other, and lets each settle. */
  pass(ms: number): Promise<void>;
  /** Passes time on until something holds, at most `ms`; says whether it holds. */
  passUntil(holds: () => boolean, ms: number): Promise<boolean>;
  /** Puts the real timers back. */
  end(): void;
}

interface Timer {
  at: number;
  readonly order: number;
  readonly run: () => void;
  readonly process: SimulatedProcess | undefined;
  readonly everyMs: number | undefined;
  off: boolean;
}

class Handle {
  readonly timer: Timer;
  constructor(timer: Timer) {
    this.timer = timer;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
}

/** Replaces timers, clock and chance of this thread until `end()`. */
export function simulateTime(startMs: number, random: () => number): SimulatedTime {
  const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate } = globalThis;
  const { now: realNow } = Date;
  const { random: realRandom } = Math;
  const running = new AsyncLocalStorage<SimulatedProcess | undefined>();
  const timers = heapOf();
  let now = startMs;
  let order = 0;

  function add(ms: number, run: () => void, process: SimulatedProcess | undefined, everyMs?: number): Timer {
    const timer: Timer = { at: now + ms, order: order++, run, process, everyMs, off: false };
    timers.push(timer);
    return timer;
  }
  const off = (handle: unknown): void => {
    if (handle instanceof Handle) handle.timer.off = true;
  };
  const delayOf = (ms: number | undefined): number => (ms !== undefined && ms >= 1 ? Math.floor(ms) : 1);

  Object.assign(globalThis, {
    setTimeout: (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
      new Handle(add(delayOf(ms), () => run(...args), running.getStore())),
    setInterval: (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
      new Handle(add(delayOf(ms), () => run(...args), running.getStore(), delayOf(ms))),
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) =>
      new Handle(add(0, () => run(...args), running.getStore())),
    clearTimeout: off,
    clearInterval: off,
    clearImmediate: off,
  });
  Object.assign(Date, { now: () => Math.floor(now + (running.getStore()?.skewMs ?? 0)) });
  Object.assign(Math, { random });

  const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

  async function fire(timer: Timer): Promise<void> {
    if (timer.off || timer.process?.dead === true) return;
    const { process } = timer;
    if (process !== undefined && process.frozenUntil > now) {
      timer.at = process.frozenUntil;
      timers.push(timer);
      return;
    }
    if (timer.everyMs !== undefined) {
      timer.at = now + timer.everyMs;
      timers.push(timer);
    }
    running.run(process, timer.run);
    await settled();
  }

  async function passUntil(holds: () => boolean, ms: number): Promise<boolean> {
    const end = now + ms;
    await settled();
    while (!holds()) {
      const next = timers.first();
      if (next === undefined || next.at > end) {
        now = end;
        return holds();
      }
      timers.pop();
      now = Math.max(now, next.at);
      await fire(next);
    }
    return true;
  }

  return {
    now: () => now,
    as: (process, run) => running.run(process, run),
    later: (ms, run, process) => void add(Math.max(0, ms), run, process),
    wait: (ms) => new Promise((resolve) => void add(Math.max(0, ms), resolve, undefined)),
    pass: async (ms) => void (await passUntil(() => false, ms)),
    passUntil,
    end() {
      Object.assign(globalThis, { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate });
      Object.assign(Date, { now: realNow });
      Object.assign(Math, { random: realRandom });
    },
  };
}

/** Timers, the earliest first; of equal ones the one set first. */
function heapOf(): { push(timer: Timer): void; pop(): void; first(): Timer | undefined } {
  const heap: Timer[] = [];
  const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
  return {
    first: () => heap[0],
    push(timer) {
      let at = heap.push(timer) - 1;
      while (at > 0) {
        const up = (at - 1) >> 1;
        const parent = heap[up];
        if (parent === undefined || !before(timer, parent)) break;
        heap[at] = parent;
        at = up;
      }
      heap[at] = timer;
    },
    pop() {
      const last = heap.pop();
      if (last === undefined || heap.length === 0) return;
      let at = 0;
      for (;;) {
        const left = 2 * at + 1;
        const a = heap[left];
        if (a === undefined) break;
        const b = heap[left + 1];
        const [child, down] = b !== undefined && before(b, a) ? [b, left + 1] : [a, left];
        if (!before(child, last)) break;
        heap[at] = child;
        at = down;
      }
      heap[at] = last;
    },
  };
}

/** A sequence of numbers in [0, 1) that a seed decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
