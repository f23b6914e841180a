import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isEnded, type Job, jobWakeAt, LonghaulError } from "@longhaul/core";
import type { ExecutionServiceSubmitJobRequest } from "@longhaul/proto/execution_service";
import { payloadWriter, textOf } from "../tasks/payloads.ts";
import { sealJson } from "../tasks/sealed-values.ts";
import { uuidPattern } from "../tasks/submit-tasks.ts";
import type { JobDeps } from "./jobs.ts";

/**
 * Stores a job for a node of a held task, once for one id. The task says first that it has something of its own outside, so that the job goes
 * when it ends. Throws `precondition_failed` when the hold is lost, `invalid_argument`, and `too_large`.
 */
export async function submitJob(deps: JobDeps, request: ExecutionServiceSubmitJobRequest): Promise<void> {
  const { hold, executor, node, jobId: id } = request;
  if (hold === undefined || !uuidPattern.test(id) || request.deadline === undefined)
    throw new LonghaulError("invalid_argument", "The request names no hold, no time, or an id that is no UUID.");
  if (!functionPattern.test(request.function))
    throw new LonghaulError("invalid_argument", "The name of a function has letters, digits and . _ - only.");
  if (request.inputJson.byteLength > deps.maxValueBytes)
    throw new LonghaulError("too_large", `The input is larger than ${deps.maxValueBytes} bytes of JSON.`);
  const key = { project: hold.project, id: hold.taskId };
  const [held] = await deps.ledger.apply([{ key, event: { kind: "child", executor, attempt: hold.attempt } }]);
  if (held === undefined || held.kind === "missing" || (held.kind === "refused" && held.why !== "applied"))
    throw new LonghaulError("precondition_failed", "The task is not held by this attempt any more.");
  const { task } = held;
  // Answered already: an executor that died has asked before, and what came of it waits in the inbox.
  if (task.inbox?.some((arrival) => arrival.node === node) === true) return;

  const writer = payloadWriter(deps.payloads);
  // A node may hand secrets to its worker, and they are not to lie about in the open.
  const input = writer.add(sealJson(deps.box, textOf(request.inputJson)), `${task.id}/jobs/${id}`);
  const job: Job = {
    state: "queued",
    project: task.project,
    id,
    partition: task.partition,
    taskId: task.id,
    node,
    function: request.function,
    input,
    priority: task.priority,
    createTime: deps.now(),
    deadline: Math.min(task.deadline, timestampMs(request.deadline)),
    tries: 0,
    fence: 0,
    ...(request.withheld ? { withheld: true } : {}),
  };
  const [known] = await deps.jobs.get([job]);
  if (known !== undefined) {
    if (known.job.taskId === task.id && known.job.node === node) return;
    throw new LonghaulError("invalid_argument", "The id belongs to another job.");
  }
  await writer.flush();
  if ((await deps.jobs.insert(job)) === "inserted") {
    deps.noteJob(job.partition, jobWakeAt(job));
    deps.jobBells.queued(job.project, job.function);
  }
  // It may have ended, and looked for its jobs, before this one was there.
  const [now] = await deps.store.get([key]);
  if (now === undefined || isEnded(now.task)) await dropJobs(deps, key.project, key.id);
}

export const functionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

const page = 200;

/** Removes all jobs of a task that has ended, and tells the workers that have some of them. */
export async function dropJobs(deps: Pick<JobDeps, "jobs" | "jobBells">, project: string, taskId: string): Promise<void> {
  let after: string | undefined;
  for (;;) {
    const found = await deps.jobs.listOfTask(project, taskId, page, after);
    const ended: string[] = [];
    for (const stored of found) {
      const { job } = stored;
      if (job.state === "done") continue;
      let left = stored;
      // Whoever changes it at the same time finds it gone the next time; the task has ended for good.
      while ((await deps.jobs.remove(job, left.rev)) === "stale") {
        const [again] = await deps.jobs.get([job]);
        if (again === undefined) break;
        left = again;
      }
      ended.push(job.id);
    }
    if (ended.length > 0) deps.jobBells.ended(project, ended);
    after = found.at(-1)?.job.id;
    if (after === undefined || found.length < page) return;
  }
}
