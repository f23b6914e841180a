import type { ResourceStore } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import { type DueResources, dueResources } from "./due-resources.ts";

/** The longest that nobody looks whether kept results are over. Reading does not depend on it: what is over is not answered. */
const lookMs = 60_000;

/** Removes kept results of nodes whose time is over. */
export function cacheExpiry(deps: {
  readonly resources: ResourceStore;
  readonly now: () => number;
  readonly log: Logger;
}): Pick<DueResources, "start" | "stop" | "own"> {
  const { resources, now, log } = deps;
  return dueResources({
    kind: "cache",
    store: resources,
    // Stale means that it was kept anew meanwhile.
    handle: async ({ resource, rev }) => void (await resources.remove(resource, rev)),
    now,
    lookMs,
    log,
  });
}
