import {
  type EndedTask,
  isEnded,
  isResult,
  LonghaulError,
  type Payload,
  type PayloadStore,
  type TaskStore,
} from "@longhaul/core";
import type { Entry, Ledger } from "../ledger/ledger.ts";

export interface ChildrenDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: () => Ledger;
}

const page = 200;

/** Why a task is cancelled whose parent has ended. */
export function endedTogether(parent: EndedTask): string {
  return `The task that waited for it (${parent.id}) is ${parent.state.replace("_", " ")}.`;
}

/** Cancels the tasks that an ended one waited for. Resolves when all of them have ended; a repeat is harmless. */
export async function cancelChildren({ store, ledger }: ChildrenDeps, parent: EndedTask): Promise<void> {
  const event = { kind: "cancel" as const, reason: endedTogether(parent) };
  let after: string | undefined;
  for (;;) {
    const found = await store.listChildren(parent.project, parent.id, page, after);
    const entries = found.flatMap(({ task }): Entry[] =>
      task.parent?.awaited === true && !isEnded(task) ? [{ key: { project: task.project, id: task.id }, event }] : [],
    );
    if (entries.length > 0) await ledger().apply(entries);
    after = found.at(-1)?.task.id;
    if (after === undefined || found.length < page) return;
  }
}

/**
 * Brings the outcome of an ended task to the one that waits for it. Resolves when it is there, or when nobody waits any more; a repeat
 * brings nothing twice. Rejects with `unavailable` when the other has no room for it now.
 */
export async function bringToParent(deps: ChildrenDeps, child: EndedTask): Promise<void> {
  const { parent, project } = child;
  if (parent === undefined) return;
  const { store } = deps;
  const key = { project, id: parent.id };
  const [[stored], [run]] = await Promise.all([store.get([key]), store.getNodeRuns([{ ...key, path: parent.node }])]);
  if (stored === undefined || isEnded(stored.task) || (run !== undefined && isResult(run.state))) return;
  // Of a child that an earlier try of the node started nobody wants to know.
  if (run?.childId !== undefined && run.childId !== child.id) return;
  const outcome =
    child.state === "succeeded"
      ? { payload: await copyOf(deps.payloads, child.output, `${parent.id}/arrivals/${child.id}`) }
      : { error: child.error };
  const [arrived] = await deps
    .ledger()
    .apply([{ key, event: { kind: "arrive", node: parent.node, by: child.id, once: true, ...outcome } }]);
  if (arrived?.kind === "refused" && arrived.why === "inbox-full")
    throw new LonghaulError("unavailable", "the inbox of the waiting task is full");
}

/** Values belong to one task each, so that they can go when it goes. */
async function copyOf(payloads: PayloadStore, payload: Payload, key: string): Promise<Payload> {
  if (payload.kind === "inline") return payload;
  const [json] = await payloads.get([payload.key]);
  if (json === undefined) throw new LonghaulError("internal", "a stored value is missing");
  await payloads.put([{ key, json }]);
  return { ...payload, key };
}
