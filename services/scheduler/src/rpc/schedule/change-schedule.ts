import { LonghaulError, type Resource, type ResourceKey } from "@longhaul/core";
import { recordOf, resourceOf, type ScheduleRecord } from "../../schedules/schedule-record.ts";
import type { SchedulerDeps } from "../deps.ts";

/** Schedulers write it too, each time it comes: each round means that somebody else got on. */
const maxRounds = 16;

export function noSchedule(name: string): LonghaulError {
  return new LonghaulError("not_found", `There is no schedule "${name}" in this project.`);
}

/** Changes a schedule by compare-and-set and tells who looks after it. Rejects with `not_found`. */
export async function changeSchedule(
  deps: Pick<SchedulerDeps, "resources" | "schedules" | "now">,
  key: ResourceKey,
  change: (record: ScheduleRecord) => ScheduleRecord,
): Promise<Resource> {
  for (let round = 0; round < maxRounds; round++) {
    const [found] = await deps.resources.get([key]);
    if (found === undefined) throw noSchedule(key.name);
    const now = deps.now();
    const next = resourceOf({ ...found.resource, updateTime: now }, change(recordOf(found.resource)), now);
    if ((await deps.resources.replace(next, found.rev)) === "replaced") {
      deps.schedules.announce(next);
      return next;
    }
  }
  throw new LonghaulError("conflict", `Schedule "${key.name}" kept changing; try again.`);
}
