import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isEnded, LonghaulError, maxDepth, type Task } from "@longhaul/core";
import type { ExecutionServiceStartChildRequest } from "@longhaul/proto/execution_service";
import { SubmitItemSchema } from "@longhaul/proto/intake_service";
import { endedTogether } from "./children.ts";
import { payloadWriter } from "./payloads.ts";
import { prepareTask } from "./prepare-task.ts";
import { releaseTickets, type SubmitDeps, uuidPattern } from "./submit-tasks.ts";

/**
 * Starts a task from a node of a held one, once for one id. The parent says first that it has children, so that none is forgotten when it
 * ends. Throws `precondition_failed` when the hold is lost, and what a submit throws.
 */
export async function startChild(deps: SubmitDeps, request: ExecutionServiceStartChildRequest): Promise<string> {
  const { hold, executor, node, awaited, taskId: id } = request;
  if (hold === undefined || !uuidPattern.test(id))
    throw new LonghaulError("invalid_argument", "The request names no hold, or an id that is no UUID.");
  const key = { project: hold.project, id: hold.taskId };
  const [held] = await deps.ledger.apply([{ key, event: { kind: "child", executor, attempt: hold.attempt } }]);
  if (held === undefined || held.kind === "missing" || (held.kind === "refused" && held.why !== "applied"))
    throw new LonghaulError("precondition_failed", "The task is not held by this attempt any more.");
  const parent = held.task;

  const [known] = await deps.store.get([{ project: parent.project, id }]);
  if (known === undefined) await make(deps, request, parent);
  else if (known.task.parent?.id !== parent.id || known.task.parent.node !== node)
    throw new LonghaulError("invalid_argument", "The id belongs to another task.");

  // It may have ended, and looked for its children, before this one was there.
  const [now] = await deps.store.get([key]);
  if (awaited && now !== undefined && isEnded(now.task)) {
    const child = { project: parent.project, id };
    await deps.ledger.apply([{ key: child, event: { kind: "cancel", reason: endedTogether(now.task) } }]);
  }
  return id;
}

async function make(deps: SubmitDeps, request: ExecutionServiceStartChildRequest, parent: Task): Promise<void> {
  const { taskId: id, node, awaited } = request;
  const depth = (parent.depth ?? 0) + 1;
  if (depth > maxDepth)
    throw new LonghaulError(
      "invalid_argument",
      `More than ${maxDepth} tasks would stand above the one that node "${node}" starts.`,
    );
  const item = create(SubmitItemSchema, {
    id,
    project: parent.project,
    workflow: request.workflow,
    revision: request.revision,
    inputJson: request.inputJson,
    labels: { ...request.labels },
    priority: parent.priority,
  });
  // Nobody would hear of what an awaited task does after the one that waits for it.
  if (awaited) item.deadline = timestampFromMs(parent.deadline);
  const runnable = await deps.catalog.resolve(item.project, item.workflow, item.revision);
  const writer = payloadWriter(deps.payloads);
  const limitKeys = await deps.limitSettings.keysOf(item.project, runnable.compiled);
  const task = prepareTask(deps, { id, item, parent: { id: parent.id, node, awaited }, depth, limitKeys }, runnable, writer);
  const giveBack = (): void => {
    if (task.queueing.kind === "ticketed") deps.dispatcher.unreserve(task.partition);
  };
  try {
    await writer.flush();
    const [result] = await deps.store.insert([task]);
    if (result !== "inserted") {
      // The same call was under way twice.
      giveBack();
      return;
    }
  } catch (why) {
    giveBack();
    throw why;
  }
  deps.ledger.inserted([task]);
  releaseTickets(deps.dispatcher, [task]);
}
