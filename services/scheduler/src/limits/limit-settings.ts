import { type CatalogStore, LonghaulError, type ResourceStore, type StoredResource } from "@longhaul/core";
import type { CompiledWorkflow } from "@longhaul/workflow";
import type { Catalog } from "../workflows/catalog.ts";
import { limitKey, projectKey, workflowKey, workflowOf } from "./limit-key.ts";

/** A limit and where it comes from. */
export interface Setting {
  readonly concurrency: number;
  /** Stored by the service, or in a definition. */
  readonly source: "managed" | "definition";
  /** Milliseconds since the epoch. */
  readonly updateTime: number;
}

/** Which limits there are. */
export interface LimitSettings {
  /** The limit of a key; undefined where there is none. Read anew each time. */
  settingOf(project: string, key: string): Promise<Setting | undefined>;
  /** The limits that a new task of a workflow is subject to, in the order in which it takes their slots; undefined for none. */
  keysOf(project: string, workflow: Pick<CompiledWorkflow, "name" | "limits">): Promise<readonly string[] | undefined>;
  /** A limit was stored or deleted. */
  forget(project: string): void;
}

/** How long it is believed that there is no limit, or one: the net behind the bell that a change rings. */
const knownMs = 1_000;
const maxKnown = 2_000;

export function limitSettings(deps: {
  readonly resources: Pick<ResourceStore, "get">;
  readonly catalog: Pick<Catalog, "resolve" | "compiledOf">;
  readonly catalogStore: Pick<CatalogStore, "getHead">;
  readonly now: () => number;
}): LimitSettings {
  const { resources, catalog, now } = deps;
  /** Which of the two limits that every task of a workflow may have are stored, by project and workflow. */
  const known = new Map<string, { readonly keys: readonly string[]; readonly until: number }>();
  let forgotten = 0;

  async function managed(project: string, workflow: string): Promise<readonly string[]> {
    const name = `${project}/${workflow}`;
    const before = known.get(name);
    if (before !== undefined && before.until > now()) return before.keys;
    const asked = forgotten;
    const names = [projectKey, workflowKey(workflow)];
    const found = await resources.get(names.map((key) => limitKey(project, key)));
    const keys = names.filter((_, at) => found[at] !== undefined);
    if (known.size >= maxKnown) known.clear();
    if (asked === forgotten) known.set(name, { keys, until: now() + knownMs });
    return keys;
  }

  /** The latest revision decides for all tasks of a workflow, whatever their own says. */
  async function definitionOf(project: string, name: string): Promise<Setting | undefined> {
    try {
      const { compiled, revision } = await catalog.resolve(project, name, 0);
      return settingFrom(compiled.limits.concurrency, revision.createTime);
    } catch (why) {
      if (!(why instanceof LonghaulError && why.code === "workflow_not_found")) throw why;
      // It was deleted; its last tasks go on as before.
      const found = await deps.catalogStore.getHead(project, name);
      if (found === undefined) return undefined;
      const { limits } = await catalog.compiledOf(project, name, found.head.revision);
      return settingFrom(limits.concurrency, found.head.updateTime);
    }
  }

  return {
    async settingOf(project, key) {
      const [stored] = await resources.get([limitKey(project, key)]);
      if (stored !== undefined) return managedSetting(stored);
      const workflow = workflowOf(key);
      return workflow === undefined ? undefined : await definitionOf(project, workflow);
    },

    async keysOf(project, { name, limits }) {
      const { concurrency, keys = [] } = limits;
      const stored = await managed(project, name);
      if (stored.length === 0 && keys.length === 0 && concurrency === undefined) return undefined;
      return [...new Set([...stored, ...keys, ...(concurrency === undefined ? [] : [workflowKey(name)])])].sort();
    },

    forget(project) {
      forgotten++;
      for (const name of known.keys()) if (name.startsWith(`${project}/`)) known.delete(name);
    },
  };
}

/** What was stored about a limit. */
export function managedSetting({ resource }: Pick<StoredResource, "resource">): Setting {
  // Written by the service's Put and nobody else.
  const { concurrency }: { concurrency: number } = JSON.parse(resource.json);
  return { concurrency, source: "managed", updateTime: resource.updateTime };
}

function settingFrom(concurrency: number | undefined, updateTime: number): Setting | undefined {
  return concurrency === undefined ? undefined : { concurrency, source: "definition", updateTime };
}
