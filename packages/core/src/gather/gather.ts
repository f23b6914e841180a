import { LonghaulError } from "../errors.ts";

/** When deferred work runs; simulations pass their own. */
export interface Defer {
  /** Runs once what the event loop has already received is handled; adds no measurable delay to an idle process. */
  soon(run: () => void): void;
  /** Runs after `ms` milliseconds; the returned function calls it off. */
  later(ms: number, run: () => void): () => void;
}

export interface GatherOptions<I> {
  /** The most items of one call; default 256. */
  readonly maxItems?: number;
  /** The most bytes of one call, as `sizeOf` counts them; a larger item goes alone. Default 1 MiB. */
  readonly maxBytes?: number;
  /** Bytes of an item; without it only items are counted. */
  readonly sizeOf?: (item: I) => number;
  /** The most calls under way; default 4. */
  readonly maxUnderWay?: number;
  /** How many an item counts for, in `maxItems` and `minWhileBusy`; default 1. */
  readonly countOf?: (item: I) => number;
  /**
   * While a call is under way, another starts only when this many items wait (or `patienceMs` have passed); default 16. Where the calls
   * of late had fewer there is no crowd to wait for, and as many suffice.
   */
  readonly minWhileBusy?: number;
  /** The longest that an item waits for company while a further call could start; default 2. */
  readonly patienceMs?: number;
  /** Bytes waiting and under way beyond which an item is refused with `unavailable`; default 64 MiB. */
  readonly maxHeldBytes?: number;
  /** Items waiting and under way beyond which an item is refused with `unavailable`; default 16,384. */
  readonly maxHeldItems?: number;
  /** Said to whom is refused; default 1 s. */
  readonly retryAfterMs?: number;
  readonly defer?: Defer;
}

interface Waiting<I, O> {
  readonly item: I;
  readonly bytes: number;
  readonly count: number;
  readonly resolve: (out: O) => void;
  readonly reject: (why: unknown) => void;
}

const eventLoop: Defer = {
  soon: (run) => void setImmediate(run),
  later: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** What each call leaves of the memory of a larger one before it: after 50 items it takes a dozen calls of one. */
const crowdKept = 0.75;

/**
 * Turns a call for many items into one for a single item (a group commit): what arrives while calls are under way goes out together
 * with the next; an idle gatherer sends at the end of the same event-loop turn. Results are taken by position. A rejected call rejects
 * every item of its group, so `call` must answer faults of single items as values. Items leave in the order in which they came.
 */
export function gatherCalls<I, O>(
  call: (items: I[]) => Promise<readonly O[]>,
  options: GatherOptions<I> = {},
): (item: I) => Promise<O> {
  const { maxItems = 256, maxBytes = 1_048_576, sizeOf, countOf } = options;
  const { maxUnderWay = 4, minWhileBusy = 16, patienceMs = 2 } = options;
  const { maxHeldBytes = 67_108_864, maxHeldItems = 16_384, retryAfterMs = 1_000, defer = eventLoop } = options;

  let queue: Waiting<I, O>[] = [];
  // Items before `head` are gone; the array is cut only now and then, because shift() on a long array is slow.
  let head = 0;
  let waitingCount = 0;
  let waitingBytes = 0;
  let heldBytes = 0;
  let heldItems = 0;
  let underWay = 0;
  /** Of the calls of late the size of the largest, forgotten by and by. */
  let crowd = 1;
  let turnEnds = false;
  let stopPatience: (() => void) | undefined;

  // Set only while something waits and there is room for a call, and called off by every send: both still hold.
  const impatient = (): void => {
    stopPatience = undefined;
    send();
    flush();
  };

  function flush(): void {
    while (underWay < maxUnderWay && head < queue.length) {
      if (underWay > 0 && waitingCount < Math.min(minWhileBusy, Math.floor(crowd)) && waitingBytes < maxBytes) {
        stopPatience ??= defer.later(patienceMs, impatient);
        return;
      }
      send();
    }
  }

  function send(): void {
    if (stopPatience) {
      stopPatience();
      stopPatience = undefined;
    }
    const group: Waiting<I, O>[] = [];
    let bytes = 0;
    let count = 0;
    while (head < queue.length && count < maxItems) {
      const next = queue[head];
      if (!next || (group.length > 0 && (bytes + next.bytes > maxBytes || count + next.count > maxItems))) break;
      bytes += next.bytes;
      count += next.count;
      group.push(next);
      head++;
    }
    if (head === queue.length) {
      queue = [];
      head = 0;
    } else if (head > 1_024) {
      queue = queue.slice(head);
      head = 0;
    }
    waitingCount -= count;
    waitingBytes -= bytes;
    crowd = Math.max(count, crowd * crowdKept);
    underWay++;
    void carryOut(group, bytes);
  }

  async function carryOut(group: readonly Waiting<I, O>[], bytes: number): Promise<void> {
    try {
      const results = await call(group.map((one) => one.item));
      if (results.length !== group.length) {
        throw new LonghaulError("internal", `a call for ${group.length} items answered ${results.length}`);
      }
      // The length is checked above, so every position holds a result, even where that is undefined.
      group.forEach((one, at) => {
        one.resolve(results[at] as O);
      });
    } catch (why) {
      for (const one of group) one.reject(why);
    } finally {
      underWay--;
      heldBytes -= bytes;
      heldItems -= group.length;
      // The callers that were just answered often come back at once: let them join the next call.
      endTurn();
    }
  }

  function endTurn(): void {
    if (turnEnds) return;
    turnEnds = true;
    defer.soon(() => {
      turnEnds = false;
      flush();
    });
  }

  return (item) =>
    new Promise<O>((resolve, reject) => {
      const bytes = sizeOf ? sizeOf(item) : 0;
      const count = countOf ? countOf(item) : 1;
      if (heldItems >= maxHeldItems || (heldItems > 0 && heldBytes + bytes > maxHeldBytes)) {
        reject(new LonghaulError("unavailable", "too much is waiting already, try again later", { retryAfterMs }));
        return;
      }
      heldItems++;
      heldBytes += bytes;
      waitingCount += count;
      waitingBytes += bytes;
      queue.push({ item, bytes, count, resolve, reject });
      endTurn();
    });
}
