import type { WorkflowName } from "../../workload.ts";

/** What the three processes of the split floor say to each other: JSON, many tasks per call. Values travel as JSON text. */
export interface NewTask {
  readonly id: string;
  readonly workflow: WorkflowName;
  readonly inputJson: string;
}

export interface Report {
  readonly id: string;
  readonly startTime: number;
  readonly endTime: number;
  /** One per node, in order; the last one is the task's. */
  readonly outputs: readonly string[];
}

export const tickets = { stream: "FLOOR_TICKETS", subject: "floor.tickets", consumer: "executors" } as const;
