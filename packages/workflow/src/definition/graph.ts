/** A node and the ids of those that come before it. */
export interface GraphNode {
  readonly id: string;
  readonly needs: readonly string[];
}

/**
 * Ids in an order in which everything comes after what it needs; ties keep the order given. Nodes on a cycle, and those behind one, are absent.
 */
export function executionOrder(nodes: readonly GraphNode[]): readonly string[] {
  const open = new Map(nodes.map(({ id, needs }) => [id, new Set(needs).size]));
  const followers = successors(nodes);
  const order = nodes.filter(({ id }) => open.get(id) === 0).map(({ id }) => id);
  for (const id of order) {
    for (const next of followers.get(id) ?? []) {
      const left = (open.get(next) ?? 0) - 1;
      open.set(next, left);
      if (left === 0) order.push(next);
    }
  }
  return order;
}

/** For every id, the ids that need it. */
export function successors(nodes: readonly GraphNode[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>(nodes.map(({ id }) => [id, []]));
  for (const { id, needs } of nodes) for (const need of new Set(needs)) found.get(need)?.push(id);
  return found;
}

/** The ids of one cycle in the order in which they need each other, the first repeated at the end; undefined where there is none. */
export function findCycle(nodes: readonly GraphNode[]): readonly string[] | undefined {
  const ordered = new Set(executionOrder(nodes));
  const left = new Map(nodes.filter(({ id }) => !ordered.has(id)).map((node) => [node.id, node]));
  // Every node that is left needs another one that is left, so walking along needs must come round.
  const path: string[] = [];
  let at = [...left.keys()][0];
  while (at !== undefined && !path.includes(at)) {
    path.push(at);
    at = left.get(at)?.needs.find((need) => left.has(need));
  }
  return at === undefined ? undefined : [...path.slice(path.indexOf(at)), at];
}

/** For every id, everything that comes before it. Needs an order without cycles. */
export function ancestors(nodes: readonly GraphNode[]): ReadonlyMap<string, ReadonlySet<string>> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const found = new Map<string, Set<string>>();
  for (const id of executionOrder(nodes)) {
    const before = new Set<string>();
    for (const need of byId.get(id)?.needs ?? []) {
      before.add(need);
      for (const earlier of found.get(need) ?? []) before.add(earlier);
    }
    found.set(id, before);
  }
  return found;
}
