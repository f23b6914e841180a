/** Something that is not quite, or not at all, as it was in Dify. */
export interface DifyRemark {
  /** The part of the node or app that it is about, such as `vision` or `authorization`. */
  readonly what: string;
  /** Why it is so, in a sentence. */
  readonly reason: string;
  /** What to do, in a sentence. */
  readonly mend: string;
}

/** What became of one node of a Dify app. */
export interface DifyNodeReport {
  /** The node's id in Dify. */
  readonly difyId: string;
  readonly title: string;
  /** Its type in Dify. */
  readonly type: string;
  /** Its path in the definition, such as `fetch` or `each.summary`; empty where it became no node. */
  readonly node: string;
  /** Parts that mean the same as before. */
  readonly carried: readonly string[];
  /** Parts that were carried over but work differently. */
  readonly changed: readonly DifyRemark[];
  /** Parts that are not in the definition, or only as a placeholder. */
  readonly lost: readonly DifyRemark[];
}

/** What became of a Dify app. */
export interface DifyReport {
  readonly app: string;
  /** Version of the DSL as the file gives it. */
  readonly version: string;
  /** True when nothing was lost: no node and not the app as a whole has an entry in `lost`. */
  readonly complete: boolean;
  /** In the order of the file, notes and starting points included. */
  readonly nodes: readonly DifyNodeReport[];
  /** What concerns no single node. */
  readonly changed: readonly DifyRemark[];
  readonly lost: readonly DifyRemark[];
  /** Names of the secrets to set before the workflow can run. */
  readonly secrets: readonly string[];
}

/** Collects what became of one node, or of the app. */
export class Findings {
  readonly carried: string[] = [];
  readonly changed: DifyRemark[] = [];
  readonly lost: DifyRemark[] = [];

  keep(...what: readonly string[]): void {
    for (const each of what) if (!this.carried.includes(each)) this.carried.push(each);
  }

  change(what: string, reason: string, mend: string): void {
    add(this.changed, { what, reason, mend });
  }

  lose(what: string, reason: string, mend: string): void {
    add(this.lost, { what, reason, mend });
  }
}

/** Most remarks of one kind that one node gets. */
const maxRemarks = 50;

function add(list: DifyRemark[], remark: DifyRemark): void {
  const isKnown = list.some(({ what, reason }) => what === remark.what && reason === remark.reason);
  if (!isKnown && list.length < maxRemarks) list.push(remark);
}
