import { setMaxListeners } from "node:events";
import type { Logger } from "../log/logger.ts";
import type { Part } from "./part.ts";
import type { Readiness } from "./readiness.ts";

export interface RunOptions {
  /** Ends the run: drains, then stops. */
  readonly quit: AbortSignal;
  /** Cuts the drain short. */
  readonly force?: AbortSignal;
  readonly drainMs: number;
  readonly log: Logger;
  /** Turns true when every part has started, and false before draining begins. */
  readonly ready?: Readiness;
  /** Called once when every part has started. */
  readonly onStarted?: () => void;
  /** How long a `stop()` may take before it is left behind; default 5 s. */
  readonly stopMs?: number;
}

/**
 * Starts the parts in order, waits for `quit`, then drains and stops them in reverse order. Rejects with the error of a failed start,
 * after what had started is stopped. A failing drain or stop is logged and holds up nobody.
 */
export async function runParts(parts: readonly Part[], options: RunOptions): Promise<void> {
  const { quit, force, drainMs, log, ready, onStarted, stopMs = 5_000 } = options;
  const up: Part[] = [];
  try {
    for (const part of parts) {
      if (quit.aborted) break;
      await part.start();
      up.unshift(part);
    }
    if (!quit.aborted) {
      ready?.set(true);
      onStarted?.();
      await aborted(quit);
    }
    ready?.set(false);
    await drainAll(up, { drainMs, log, ...(force && { force }) });
  } finally {
    ready?.set(false);
    for (const part of up) {
      await within(stopMs, part.stop(), () => log.warn({ part: part.name }, "part did not stop in time")).catch((err: unknown) =>
        log.error({ part: part.name, err }, "part failed to stop"),
      );
    }
  }
}

/** Resolves when `signal` aborts; at once when it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

interface DrainOptions {
  readonly drainMs: number;
  readonly force?: AbortSignal;
  readonly log: Logger;
}

async function drainAll(up: readonly Part[], { drainMs, force, log }: DrainOptions): Promise<void> {
  const deadline = new AbortController();
  const giveUp = (): void => deadline.abort(new Error("the time to drain is over"));
  // A timer of our own: that of AbortSignal.timeout would not keep the process alive.
  const timer = setTimeout(giveUp, drainMs);
  force?.addEventListener("abort", giveUp, { once: true });
  if (force?.aborted) giveUp();
  // Every part may listen, however many there are.
  setMaxListeners(0, deadline.signal);
  const over = aborted(deadline.signal).then(() => settleTurn());
  try {
    for (const part of up) {
      const drained = part.drain(deadline.signal).catch((err: unknown) => {
        if (!deadline.signal.aborted) log.error({ part: part.name, err }, "part failed to drain");
      });
      await Promise.race([drained, over]);
    }
    if (deadline.signal.aborted) log.warn({ drainMs }, "drain was cut short");
  } finally {
    clearTimeout(timer);
    force?.removeEventListener("abort", giveUp);
  }
}

/** One event-loop turn, in which parts that heed the deadline can still say so. */
function settleTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function within(ms: number, work: Promise<void>, onLate: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      onLate();
      resolve();
    }, ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
