/** Who looks after a partition. For order and economy only: two owners at once do no harm. */
export interface PartitionLease {
  readonly partition: number;
  readonly owner: string;
  /** Rises with every change of owner. */
  readonly epoch: number;
  /** Milliseconds since the epoch, on the database's clock. */
  readonly until: number;
}

/** Keeps partition leases and the list of schedulers alive. */
export interface LeaseStore {
  /** Says that `owner` is alive until `until` and extends all leases it still holds. */
  renew(owner: string, until: number): Promise<void>;
  /** All leases that were ever taken, expired ones included, and the owners alive at `now`. */
  list(now: number): Promise<{ readonly leases: readonly PartitionLease[]; readonly owners: readonly string[] }>;
  /** Takes a partition whose stored epoch is still `epoch` (0: never taken). */
  take(partition: number, owner: string, epoch: number, until: number): Promise<boolean>;
  /** Gives partitions up, if `owner` still holds them; with all of them it also leaves the list of the living. */
  give(owner: string, partitions: readonly number[] | "all"): Promise<void>;
}
