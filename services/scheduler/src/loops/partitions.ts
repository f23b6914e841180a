import { type LeaseStore, partitionCount } from "@longhaul/core";
import { type Logger, type Part, part } from "@longhaul/shared";

/** Which partitions this scheduler looks after. */
export interface Partitions extends Part {
  /** How many it holds now. */
  held(): number;
}

/** How long a lease lasts, and how often it is renewed. Order and economy hang on it, safety does not. */
const leaseMs = 5_000;
const renewMs = 1_500;

/** All partitions, for the only scheduler there is. */
export function allPartitions(own: (partitions: ReadonlySet<number>) => void): Partitions {
  const all = new Set(Array.from({ length: partitionCount }, (_, partition) => partition));
  return { ...part("partitions", { start: async () => own(all) }), held: () => partitionCount };
}

/** Shares the partitions fairly among the schedulers alive: takes what is free, gives up what is too much. */
export function leasedPartitions(deps: {
  readonly leases: LeaseStore;
  readonly owner: string;
  readonly now: () => number;
  readonly log: Logger;
  readonly own: (partitions: ReadonlySet<number>) => void;
}): Partitions {
  const { leases, owner, now, log } = deps;
  let mine: ReadonlySet<number> = new Set();
  let renewedAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();
  let stopped = false;

  function hold(next: ReadonlySet<number>): void {
    const same = next.size === mine.size && [...next].every((partition) => mine.has(partition));
    mine = next;
    if (same) return;
    log.info({ partitions: next.size }, "partitions held");
    deps.own(next);
  }

  async function renew(): Promise<void> {
    const sentAt = now();
    await leases.renew(owner, sentAt + leaseMs);
    renewedAt = sentAt;
    const { leases: all, owners } = await leases.list(now());
    const fair = Math.ceil(partitionCount / Math.max(1, owners.length));
    const held = all.filter((lease) => lease.owner === owner && lease.until > now()).map((lease) => lease.partition);
    const tooMany = held.slice(fair);
    if (tooMany.length > 0) await leases.give(owner, tooMany);
    const next = new Set(held.slice(0, fair));
    const known = new Map(all.map((lease) => [lease.partition, lease]));
    // Start at a place of our own, so that schedulers that come at once do not fight for the same ones.
    const first = Math.floor(Math.random() * partitionCount);
    for (let i = 0; i < partitionCount && next.size < fair; i++) {
      const partition = (first + i) % partitionCount;
      const lease = known.get(partition);
      if (next.has(partition) || (lease !== undefined && lease.until > now())) continue;
      if (await leases.take(partition, owner, lease?.epoch ?? 0, now() + leaseMs)) next.add(partition);
    }
    hold(next);
  }

  function plan(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      round = renew()
        .catch((why: unknown) => {
          log.warn({ err: why }, "partition leases not renewed");
          // Others take over what we could not renew; stop looking after it as well.
          if (now() - renewedAt > leaseMs) hold(new Set());
        })
        .finally(plan);
    }, renewMs);
  }

  return {
    name: "partitions",
    held: () => mine.size,
    async start() {
      await renew().catch((why: unknown) => log.warn({ err: why }, "partition leases not taken yet"));
      plan();
    },
    async drain() {},
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await round;
      hold(new Set());
      // So that another scheduler need not wait for the leases to run out.
      await leases.give(owner, "all").catch((why: unknown) => log.warn({ err: why }, "partition leases not given up"));
    },
  };
}
