import type { TaskStore } from "@longhaul/core";
import { expirySweep, type Logger } from "@longhaul/shared";

/** Removes ended tasks that were kept long enough, with all that belongs to them. */
export interface Retention {
  /** The partitions that this process looks after, from now on. */
  own(partitions: ReadonlySet<number>): void;
  stop(): Promise<void>;
}

/** What has ended is no partition's any more; so that one scheduler does it, it is the one that looks after this partition. */
const sweptBy = 0;

export function retention(deps: {
  readonly store: TaskStore;
  readonly retentionMs: number;
  readonly now: () => number;
  readonly log: Logger;
  readonly later?: (ms: number, run: () => void) => () => void;
}): Retention {
  const sweep = expirySweep({ ...deps, what: "tasks" });
  return {
    own: (partitions) => (partitions.has(sweptBy) ? sweep.start() : sweep.pause()),
    stop: sweep.stop,
  };
}
