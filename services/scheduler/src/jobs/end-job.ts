import { isEnded, isResult, type Job, type JobKey, type Json, jobOutcome, LonghaulError, type Payload } from "@longhaul/core";
import { payloadWriter } from "../tasks/payloads.ts";
import { sealJson, valuePart } from "../tasks/sealed-values.ts";
import { changeJob } from "./change-job.ts";
import type { JobDeps } from "./jobs.ts";

export type JobAnswer = { readonly output: Json } | { readonly error: Json };

/**
 * Brings a worker's answer to the node that waits for it, durably, and then ends the job; the same answer again is fine. Throws `not_found`
 * when there is no such job or nobody waits for it any more, `conflict` when the lease is lost, `too_large`, and `rate_limited`.
 */
export async function endJob(deps: JobDeps, key: JobKey, fence: number, answer: JobAnswer): Promise<void> {
  const [found] = await deps.jobs.get([key]);
  if (found === undefined) throw noSuchJob(key.id);
  const { job } = found;
  if (job.state === "done" && job.fence === fence) return;
  if (job.state !== "leased" || job.fence !== fence) throw lostJob(job);
  if (!(await bring(deps, job, answer))) {
    await deps.jobs.remove(job, found.rev);
    throw noSuchJob(key.id);
  }
  const change = await changeJob(deps, key, { kind: "finish", fence });
  // The answer is with the task. What refuses now is an end of another kind: the job's time, or a sweep that was faster.
  if (change?.decision.kind === "refuse" && change.decision.why === "over") await deps.jobs.remove(key, change.found.rev);
}

/** Durable when it resolves; false when nobody waits for this job any more. */
export async function bring(deps: JobDeps, job: Job, answer: JobAnswer): Promise<boolean> {
  const json = JSON.stringify(jobOutcome(job, answer));
  if (Buffer.byteLength(json) > deps.maxValueBytes)
    throw new LonghaulError(
      "too_large",
      `The answer is larger than ${deps.maxValueBytes} bytes of JSON. Pass a link to the data instead.`,
    );
  const key = { project: job.project, id: job.taskId };
  const [[stored], [run]] = await Promise.all([deps.store.get([key]), deps.store.getNodeRuns([{ ...key, path: job.node }])]);
  if (stored === undefined || isEnded(stored.task) || (run !== undefined && isResult(run.state))) return false;
  if (run?.wait !== undefined && awaitedJob(run.wait.memory) !== job.id) return false;
  const payload = await storedAnswer(deps, job, json);
  const by = job.state === "leased" && job.worker !== "" ? `worker ${job.worker}` : "";
  const [outcome] = await deps.ledger.apply([{ key, event: { kind: "arrive", node: job.node, by, payload, once: true } }]);
  if (outcome?.kind === "changed") return true;
  if (outcome?.kind !== "refused" || outcome.why === "ended") return false;
  if (outcome.why === "inbox-full")
    throw new LonghaulError("rate_limited", "More has arrived for the task than it has looked at; try again in a moment.", {
      retryAfterMs: 1_000,
    });
  // It came before: the one who brought it could not say so.
  return true;
}

/** Durable when it resolves. What answers a node that works with secrets is sealed; whoever reads it by its key gets it opened. */
async function storedAnswer({ payloads, box }: JobDeps, job: Job, json: string): Promise<Payload> {
  const place = `${job.taskId}/arrivals/${job.id}-${job.fence}`;
  if (job.withheld) {
    const key = `${place}/${valuePart("output", true)}`;
    const sealed = sealJson(box, json);
    await payloads.put([{ key, json: sealed }]);
    return { kind: "stored", key, bytes: Buffer.byteLength(sealed) };
  }
  const writer = payloadWriter(payloads);
  const payload = writer.add(json, place);
  await writer.flush();
  return payload;
}

function awaitedJob(memory: Json | undefined): Json | undefined {
  return typeof memory === "object" && memory !== null && "job" in memory ? memory["job"] : undefined;
}

export function noSuchJob(id: string): LonghaulError {
  return new LonghaulError(
    "not_found",
    `There is no job ${JSON.stringify(id.slice(0, 64))} in this project; its task has ended, or nobody waits for it any more.`,
  );
}

export function lostJob(job: Job): LonghaulError {
  const now =
    job.state === "queued" ? "waits for another worker" : job.state === "leased" ? "is with another worker" : "is answered";
  return new LonghaulError("conflict", `The lease of the job is lost: it ${now} under fence ${job.fence}.`);
}
