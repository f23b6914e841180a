export interface TicketWindow {
  /** How many more tickets of the partition may go out, as far as is known. */
  room(partition: number): number;
  /** Tickets of the partition believed to be out; never fewer than there are, if nobody else publishes for it. */
  out(partition: number): number;
  /** Books `count` tickets as going out. */
  reserve(partition: number, count: number): void;
  /** Of `count` reserved, `published` are out now. */
  settle(partition: number, count: number, published: number): void;
  /** Counts anew what may be out of date; resolves at once while the last count is recent. */
  refresh(partitions: readonly number[]): Promise<void>;
  /** Forgets everything: the stream is another one. */
  reset(): void;
}

interface Tally {
  counted: number;
  /** Published since the last count was asked for. */
  since: number;
  underWay: number;
  /** Until then the count is recent enough, as `now` tells time. */
  freshUntil: number;
}

// The server's answer lists every subject: 2 us each to read here, more over there. So the wait grows with the answer, and counting takes
// a tenth of the time at most, however often it is asked for.
const baseFreshMs = 5;
const freshPerTicketMs = 0.02;

/**
 * Keeps the number of tickets out per partition: what the stream said last plus what was published since. Claims are not seen from here,
 * so the number only grows until the next count; too high is safe, as the tasks wait in the backlog instead.
 */
export function ticketWindow(
  size: number,
  count: (partitions: readonly number[]) => Promise<ReadonlyMap<number, number>>,
  now: () => number = () => performance.now(),
): TicketWindow {
  const tallies = new Map<number, Tally>();
  let counting: Promise<void> | undefined;
  let era = 0;

  function tally(partition: number): Tally {
    let found = tallies.get(partition);
    if (!found) {
      found = { counted: 0, since: 0, underWay: 0, freshUntil: Number.NEGATIVE_INFINITY };
      tallies.set(partition, found);
    }
    return found;
  }

  const out = (partition: number): number => {
    const found = tallies.get(partition);
    return found ? found.counted + found.since + found.underWay : 0;
  };

  const stale = (partitions: readonly number[]): readonly number[] => {
    const at = now();
    return partitions.filter((partition) => tally(partition).freshUntil <= at);
  };

  async function recount(partitions: readonly number[]): Promise<void> {
    const asked = era;
    const before = partitions.map((partition) => tally(partition).since);
    const counted = await count(partitions);
    if (asked !== era) return;
    let total = 0;
    for (const number of counted.values()) total += number;
    const freshUntil = now() + baseFreshMs + total * freshPerTicketMs;
    partitions.forEach((partition, at) => {
      const one = tally(partition);
      one.counted = counted.get(partition) ?? 0;
      one.since -= before[at] ?? 0;
      one.freshUntil = freshUntil;
    });
  }

  return {
    room: (partition) => Math.max(0, size - out(partition)),
    out,
    reserve(partition, number) {
      tally(partition).underWay += number;
    },
    settle(partition, number, published) {
      const one = tally(partition);
      one.underWay = Math.max(0, one.underWay - number);
      one.since += published;
    },
    async refresh(partitions) {
      // Whoever comes while a count is under way waits for it and then sees whether it told enough.
      while (counting) await counting.catch(() => {});
      const wanted = stale(partitions);
      if (wanted.length === 0) return;
      counting = recount(wanted).finally(() => {
        counting = undefined;
      });
      await counting;
    },
    reset() {
      era++;
      // What is under way still gets settled; the rest is gone.
      for (const one of tallies.values()) {
        one.counted = 0;
        one.since = 0;
        one.freshUntil = Number.NEGATIVE_INFINITY;
      }
    },
  };
}
