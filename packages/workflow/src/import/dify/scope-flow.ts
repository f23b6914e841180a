import { ancestors, executionOrder, type GraphNode } from "../../definition/graph.ts";
import type { DifyEdge, DifyNode } from "./read-dify.ts";

/** How one node leads on to another: whenever it succeeded, when it failed, or when it chose one of some cases. */
export interface Entry {
  readonly source: string;
  /** `both`: whether it succeeded or failed. */
  readonly on: "succeeded" | "failed" | "both";
  /** The cases of a branch that lead here; empty where every one does. */
  readonly cases: readonly string[];
}

/** How the nodes of one level (the top, or the inside of an iteration) follow each other. */
export interface ScopeFlow {
  /** Ids of the nodes that can run, each after everything it follows; starting points are not among them. */
  readonly order: readonly string[];
  /** Ids that no path from the start reaches, or that lie on a circle. */
  readonly unreached: readonly string[];
  entries(id: string): readonly Entry[];
  /** True where a starting point itself leads to the node. */
  followsStart(id: string): boolean;
  /** Everything that comes before. */
  before(id: string): ReadonlySet<string>;
  /** What has surely succeeded when the node runs. */
  certain(id: string): ReadonlySet<string>;
  /** True where the node runs whatever is chosen. */
  always(id: string): boolean;
  /** True where at most one of the two can run. */
  exclusive(a: string, b: string): boolean;
}

const plainHandles: ReadonlySet<string> = new Set(["source", "success-branch", "fail-branch"]);
// Ways to a node that are told apart; beyond it nodes count as not exclusive, which is always right.
const maxWays = 64;

/** Works out the flow. `allCases` answers every case of a branching node, so that a node that follows all of them follows always. */
export function scopeFlow(
  nodes: readonly DifyNode[],
  edges: readonly DifyEdge[],
  starts: ReadonlySet<string>,
  allCases: (id: string) => readonly string[],
): ScopeFlow {
  const inside = new Map(nodes.map((node) => [node.id, node]));
  const own = edges.filter(({ source, target }) => inside.has(source) && inside.has(target));
  const reached = reachedFrom(starts, own);
  const live = own.filter(({ source, target }) => reached.has(source) && !starts.has(target));
  const entries = new Map<string, readonly Entry[]>();
  const graph: GraphNode[] = [];
  for (const { id } of nodes) {
    if (starts.has(id) || !reached.has(id)) continue;
    const list = entriesOf(id, live, starts, allCases);
    entries.set(id, list);
    graph.push({ id, needs: list.map(({ source }) => source) });
  }
  const handled = new Set([...entries.values()].flat().flatMap(({ source, on }) => (on === "succeeded" ? [] : [source])));
  const order = executionOrder(graph);
  const runs = new Set(order);
  const before = ancestors(graph);
  const afterStart = new Set(live.filter(({ source }) => starts.has(source)).map(({ target }) => target));
  const certain = certainty(order, entries, afterStart);
  const ways = waysTo(order, entries, afterStart);
  return {
    order,
    unreached: nodes.map(({ id }) => id).filter((id) => !runs.has(id) && !starts.has(id)),
    entries: (id) => entries.get(id) ?? [],
    followsStart: (id) => afterStart.has(id),
    before: (id) => before.get(id) ?? new Set(),
    certain: (id) => certain.get(id) ?? new Set(),
    always: (id) =>
      ways.get(id)?.some((way) => [...way].every(([source, choice]) => choice === "succeeded" && !handled.has(source))) ?? false,
    exclusive: (a, b) => areExclusive(ways.get(a), ways.get(b)),
  };
}

function reachedFrom(starts: ReadonlySet<string>, edges: readonly DifyEdge[]): ReadonlySet<string> {
  const followers = new Map<string, string[]>();
  for (const { source, target } of edges) followers.set(source, [...(followers.get(source) ?? []), target]);
  const reached = new Set(starts);
  for (const id of reached) for (const next of followers.get(id) ?? []) reached.add(next);
  return reached;
}

function entriesOf(
  id: string,
  edges: readonly DifyEdge[],
  starts: ReadonlySet<string>,
  allCases: (id: string) => readonly string[],
): readonly Entry[] {
  const handles = new Map<string, Set<string>>();
  for (const { source, handle, target } of edges) {
    if (target !== id || starts.has(source)) continue;
    handles.set(source, (handles.get(source) ?? new Set()).add(handle));
  }
  return [...handles].map(([source, given]): Entry => {
    const cases = [...given].filter((handle) => !plainHandles.has(handle));
    const failed = given.has("fail-branch");
    const succeeded = [...given].some((handle) => handle !== "fail-branch");
    const all = allCases(source);
    const every = given.has("source") || given.has("success-branch") || (all.length > 0 && all.every((one) => given.has(one)));
    return { source, on: !failed ? "succeeded" : succeeded ? "both" : "failed", cases: every ? [] : cases };
  });
}

function certainty(
  order: readonly string[],
  entries: ReadonlyMap<string, readonly Entry[]>,
  afterStart: ReadonlySet<string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const certain = new Map<string, ReadonlySet<string>>();
  for (const id of order) {
    let shared: ReadonlySet<string> | undefined = afterStart.has(id) ? new Set() : undefined;
    for (const { source, on } of entries.get(id) ?? []) {
      const along = new Set(certain.get(source));
      if (on === "succeeded") along.add(source);
      shared = shared === undefined ? along : new Set([...shared].filter((each) => along.has(each)));
    }
    certain.set(id, shared ?? new Set());
  }
  return certain;
}

/** One way to a node: what each branch or failing node on it had to choose. */
type Way = ReadonlyMap<string, string>;

function waysTo(
  order: readonly string[],
  entries: ReadonlyMap<string, readonly Entry[]>,
  afterStart: ReadonlySet<string>,
): ReadonlyMap<string, readonly Way[] | undefined> {
  const ways = new Map<string, readonly Way[] | undefined>();
  for (const id of order) {
    let found: Way[] | undefined = afterStart.has(id) ? [new Map()] : [];
    for (const { source, on, cases } of entries.get(id) ?? []) {
      const earlier = ways.get(source);
      const choices = cases.length > 0 ? cases : on === "both" ? [] : [on];
      const along = earlier?.flatMap((way) =>
        choices.length === 0 ? [way] : choices.map((choice): Way => new Map([...way, [source, choice]])),
      );
      found =
        found === undefined || along === undefined || found.length + along.length > maxWays ? undefined : [...found, ...along];
    }
    ways.set(id, found);
  }
  return ways;
}

function areExclusive(a: readonly Way[] | undefined, b: readonly Way[] | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.every((one) => b.every((other) => [...one].some(([source, choice]) => (other.get(source) ?? choice) !== choice)));
}
