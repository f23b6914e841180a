/** Something stored that is kept only for so long after it was settled. */
export interface Expired {
  readonly project: string;
  readonly id: string;
  /** The stored revision; what has another one when it is to be removed changed meanwhile, and stays. */
  readonly rev: number;
  /** Milliseconds since the epoch. */
  readonly settledAt: number;
}

/** Finds and removes what was kept long enough. Any number of processes may do so at once, and any of them may die in it. */
export interface ExpiredStore {
  /** What was settled at or before `settledBy`, of all projects, the earliest first; what a removal that was cut off left behind comes too. */
  listExpired(settledBy: number, limit: number): Promise<readonly Expired[]>;
  /**
   * Removes each of them that still has its revision, with all that belongs to it; answers how many are gone. Nobody sees one any more from
   * the moment its removal begins. What changed meanwhile stays as it is; what takes long is taken up again where it is listed next.
   */
  remove(expired: readonly Expired[]): Promise<number>;
}
