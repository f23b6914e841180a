import { type Logger, type Part, part } from "@longhaul/shared";

/** The database's clock, as every sweeper and lease must see it, kept as an offset to our own and measured again and again. */
export interface StoreClock extends Part {
  now(): number;
}

const remeasureMs = 30_000;

export function storeClock(deps: {
  readonly read: () => Promise<number>;
  readonly log: Logger;
  readonly local?: () => number;
}): StoreClock {
  const local = deps.local ?? Date.now;
  let offsetMs = 0;
  let timer: NodeJS.Timeout | undefined;

  async function measure(): Promise<void> {
    const sentAt = local();
    const theirs = await deps.read();
    // The answer is as old as half the way; a long way says nothing exact, so keep what we know.
    const tookMs = local() - sentAt;
    if (tookMs > 2_000) return;
    offsetMs = Math.round(theirs - (sentAt + tookMs / 2));
    if (Math.abs(offsetMs) > 5_000)
      deps.log.warn({ offsetMs }, "this machine's clock is far from the database's; times are the database's");
  }

  const measureQuietly = (): Promise<void> =>
    measure().catch((why: unknown) => deps.log.warn({ err: why }, "the database's clock could not be read"));

  return {
    ...part("clock", {
      start: async () => {
        await measureQuietly();
        timer = setInterval(() => void measureQuietly(), remeasureMs);
        timer.unref();
      },
      stop: async () => clearInterval(timer),
    }),
    now: () => local() + offsetMs,
  };
}
