/** Kinds of small things that people or schedulers manage by name. */
export type ResourceKind = "connection" | "secret" | "schedule" | "limit" | "slots" | "cache" | "usage";

/** What finds a resource. A name has no slash. */
export interface ResourceKey {
  readonly project: string;
  readonly kind: ResourceKind;
  readonly name: string;
}

/** A named thing of a project. What it says is its kind's own; the store only keeps it. */
export interface Resource extends ResourceKey {
  /** `partitionOf(project)`, stored because indexes need it. */
  readonly partition: number;
  /** UUID; another one when it was deleted and made again. */
  readonly uid: string;
  /** Milliseconds since the epoch, as `updateTime`. */
  readonly createTime: number;
  readonly updateTime: number;
  /** When somebody must look at it again, in milliseconds since the epoch; absent when nothing is due. */
  readonly wakeAt?: number;
  /** JSON text, up to 64 KiB; secrets in it are sealed before they come here. */
  readonly json: string;
}

/** A resource as stored, with the revision that compare-and-set goes by: it counts writes, from 0. */
export interface StoredResource {
  readonly resource: Resource;
  readonly rev: number;
}

/**
 * Keeps resources. It compares and sets, and knows nothing of what they mean. Durable when a promise resolves; rejects with LonghaulError
 * `unavailable` as TaskStore does. An array comes back in the order of the array that went in.
 */
export interface ResourceStore {
  get(keys: readonly ResourceKey[]): Promise<readonly (StoredResource | undefined)[]>;
  insert(resource: Resource): Promise<"inserted" | "exists">;
  /** Writes `next` only while the stored revision is still `rev`. Its `uid` and `createTime` stay as they were inserted. */
  replace(next: Resource, rev: number): Promise<"replaced" | "stale">;
  /** Removes it only while the stored revision is still `rev`; "removed" also when it is gone already. */
  remove(key: ResourceKey, rev: number): Promise<"removed" | "stale">;
  /** Of one kind in a project, by name ascending (by code point), behind `after` where given. */
  list(project: string, kind: ResourceKind, limit: number, after?: string): Promise<readonly StoredResource[]>;
  /** Of one kind in these partitions whose `wakeAt` is at or before `until`, the earliest first. */
  listDue(kind: ResourceKind, partitions: readonly number[], until: number, limit: number): Promise<readonly StoredResource[]>;
  /** The earliest `wakeAt` of one kind in these partitions, whether past or to come. */
  nextDue(kind: ResourceKind, partitions: readonly number[]): Promise<number | undefined>;
}
