import type { Json } from "../failure.ts";

/** The head of a workflow: what is true of it now. */
export interface WorkflowHead {
  readonly project: string;
  readonly name: string;
  /** UUID, the same over all revisions. */
  readonly uid: string;
  /** The latest revision. */
  readonly revision: number;
  readonly enabled: boolean;
  readonly deleted: boolean;
  readonly createTime: number;
  readonly updateTime: number;
  readonly description: string;
  readonly supportsAsync: boolean;
}

/** One immutable revision. */
export interface WorkflowRevision {
  readonly project: string;
  readonly name: string;
  readonly revision: number;
  /** UUID of the revision. */
  readonly uid: string;
  /** The definition as it was put (stored as JSON text, so that any key survives). */
  readonly definition: Json;
  readonly createTime: number;
  readonly description: string;
  readonly supportsAsync: boolean;
}

/** Keeps workflow definitions. Durable when a promise resolves; rejects with `unavailable` as TaskStore does. */
export interface CatalogStore {
  getHead(project: string, name: string): Promise<{ readonly head: WorkflowHead; readonly rev: number } | undefined>;
  insertHead(head: WorkflowHead): Promise<"inserted" | "exists">;
  /** Writes `next` only while the stored revision is still `rev`. */
  replaceHead(next: WorkflowHead, rev: number): Promise<"replaced" | "stale">;
  insertRevision(revision: WorkflowRevision): Promise<"inserted" | "exists">;
  getRevision(project: string, name: string, revision: number): Promise<WorkflowRevision | undefined>;
  /** Heads that are not deleted, by name ascending, behind `after` where given. */
  listHeads(project: string, limit: number, after?: string): Promise<readonly WorkflowHead[]>;
  /** Revisions, newest first, below `before` where given. */
  listRevisions(project: string, name: string, limit: number, before?: number): Promise<readonly WorkflowRevision[]>;
}
