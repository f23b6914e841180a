import type { SchedulerDeps } from "../rpc/deps.ts";

/** What everything about jobs of remote workers shares. */
export type JobDeps = Pick<
  SchedulerDeps,
  | "jobs"
  | "jobBells"
  | "seenFunctions"
  | "jobRules"
  | "noteJob"
  | "store"
  | "payloads"
  | "ledger"
  | "live"
  | "box"
  | "log"
  | "now"
  | "maxValueBytes"
>;
