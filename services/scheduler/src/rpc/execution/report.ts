import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceReportRequest,
  type ExecutionServiceReportResponse,
  ExecutionServiceReportResponseSchema,
} from "@longhaul/proto/execution_service";
import { applyReports } from "../../tasks/apply-reports.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function report(
  deps: SchedulerDeps,
  request: ExecutionServiceReportRequest,
): Promise<ExecutionServiceReportResponse> {
  return create(ExecutionServiceReportResponseSchema, { results: await applyReports(deps, request.executor, request.reports) });
}
