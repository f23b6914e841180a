import { type Json, objectOf } from "../api/json.ts";

/** A job as the server gives it. */
export interface Job {
  readonly id: string;
  readonly fence: number;
  readonly function: string;
  readonly input: Json;
  readonly taskId: string;
  readonly node: string;
  readonly tries: number;
  readonly leaseMs: number;
  readonly deadline: Date;
}

/** The jobs of an answer to a poll. Throws where it is none. */
export function jobsOf(answer: unknown): readonly Job[] {
  const { jobs } = objectOf(answer);
  if (!Array.isArray(jobs)) throw new Error("the server's answer to a poll has no jobs");
  return jobs.map((each): Job => {
    const { id, fence, function: name, input, taskId, node, tries, lease, deadline } = objectOf(each);
    if (typeof id !== "string" || typeof fence !== "number" || typeof name !== "string")
      throw new Error("the server gave a job without id, fence or function");
    return {
      id,
      fence,
      function: name,
      // It was read from JSON.
      input: (input ?? null) as Json,
      taskId: String(taskId ?? ""),
      node: String(node ?? ""),
      tries: typeof tries === "number" ? tries : 1,
      leaseMs: secondsOf(lease) * 1_000,
      deadline: new Date(String(deadline ?? 0)),
    };
  });
}

/** A duration such as `1.500s`. */
function secondsOf(value: unknown): number {
  const seconds = typeof value === "string" ? Number.parseFloat(value) : Number.NaN;
  if (!Number.isFinite(seconds) || seconds <= 0) throw new Error("the server gave a job without a lease");
  return seconds;
}
