import { create } from "@bufbuild/protobuf";
import {
  type IntakeServiceSubmitManyRequest,
  type IntakeServiceSubmitManyResponse,
  IntakeServiceSubmitManyResponseSchema,
} from "@longhaul/proto/intake_service";
import { submitTasks } from "../../tasks/submit-tasks.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function submitMany(
  deps: SchedulerDeps,
  request: IntakeServiceSubmitManyRequest,
): Promise<IntakeServiceSubmitManyResponse> {
  return create(IntakeServiceSubmitManyResponseSchema, { results: await submitTasks(deps, request.items) });
}
