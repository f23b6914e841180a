import type { WorkflowName } from "../workload.ts";

/** What a product should reach. The ratios decide; the absolute figures inform, because machines differ. */
export interface Goal {
  readonly completedPerSecond: Readonly<Record<WorkflowName, number>>;
  /** Of the floor's completed tasks per second. */
  readonly ratio: number;
  readonly steadyP50Ms: number;
  readonly steadyP99Ms: number;
  readonly submitP99Ms?: number;
  readonly peakMib?: number;
}

export const goals: Readonly<Record<"solo" | "cluster", Goal>> = {
  solo: {
    completedPerSecond: { echo: 7_000, chain5: 4_000 },
    ratio: 0.6,
    steadyP50Ms: 2,
    steadyP99Ms: 8,
    submitP99Ms: 40,
    peakMib: 200,
  },
  cluster: { completedPerSecond: { echo: 2_700, chain5: 1_700 }, ratio: 0.75, steadyP50Ms: 6, steadyP99Ms: 20 },
};

export const floorOf = { solo: "solo-floor", cluster: "split-floor" } as const;
