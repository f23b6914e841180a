import { createHash } from "node:crypto";
import type { Json } from "@longhaul/core";
import type { CompiledNode } from "../definition/compiled-workflow.ts";
import type { TaskHooks } from "./task-run.ts";

/** The results of earlier tasks for nodes with `cache`. A store that is away costs the work, not the task. */
export class ResultCache {
  private readonly hooks: TaskHooks;
  // Of nodes under way whose result is to be kept, by path.
  private readonly ids = new Map<string, string>();

  constructor(hooks: TaskHooks) {
    this.hooks = hooks;
  }

  /** The kept result for the evaluated key; without one, the result of the node at the path is going to be kept. */
  async find({ cache }: CompiledNode, path: string, key: Json): Promise<Json | undefined> {
    const { hooks } = this;
    if (cache === undefined || hooks.cacheGet === undefined) return undefined;
    const id = createHash("sha256").update(`longhaul cache\n${cache.scope}\n`).update(JSON.stringify(key)).digest("hex");
    const kept = await hooks.cacheGet(id).catch(() => undefined);
    if (kept === undefined) this.ids.set(path, id);
    return kept;
  }

  /** Keeps a result. */
  keep({ cache }: CompiledNode, path: string, output: Json): void {
    const id = this.ids.get(path);
    if (id === undefined || cache === undefined) return;
    this.ids.delete(path);
    this.hooks.cachePut?.(id, output, cache.ttlMs).catch(() => undefined);
  }
}
