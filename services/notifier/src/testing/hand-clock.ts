import type { Clock } from "../clock.ts";

export interface HandClock extends Clock {
  /** Moves time on and runs what has become due, once. */
  turn(ms: number): void;
  /** When the next timer is due. */
  next(): number | undefined;
}

/** A clock that moves only when told to. */
export function handClock(start = 1_800_000_000_000): HandClock {
  let time = start;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    now: () => time,
    later(ms, run) {
      const timer = { at: time + Math.max(0, ms), run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    turn(ms) {
      time += ms;
      const due = [...timers].filter((timer) => timer.at <= time).sort((a, b) => a.at - b.at);
      for (const timer of due) if (timers.delete(timer)) timer.run();
    },
    next: () => (timers.size === 0 ? undefined : Math.min(...[...timers].map((timer) => timer.at))),
  };
}
