import type { ServiceImpl } from "@connectrpc/connect";
import type { ExecutionService } from "@longhaul/proto/execution_service";
import type { IntakeService } from "@longhaul/proto/intake_service";
import type { TaskService } from "@longhaul/proto/task_service";
import type { WorkflowService } from "@longhaul/proto/workflow_service";
import type { SchedulerDeps } from "./deps.ts";
import { claim } from "./execution/claim.ts";
import { heartbeat } from "./execution/heartbeat.ts";
import { readDefinition } from "./execution/read-definition.ts";
import { readPayload } from "./execution/read-payload.ts";
import { release } from "./execution/release.ts";
import { report } from "./execution/report.ts";
import { recordDeliveries } from "./intake/record-deliveries.ts";
import { submitMany } from "./intake/submit-many.ts";
import { batchGet } from "./task/batch-get.ts";
import { batchCancel, cancel } from "./task/cancel.ts";
import { get } from "./task/get.ts";
import { list } from "./task/list.ts";
import { listNodeRuns } from "./task/list-node-runs.ts";
import { retry } from "./task/retry.ts";
import { submit } from "./task/submit.ts";
import { watch } from "./task/watch.ts";
import { deleteWorkflow } from "./workflow/delete.ts";
import { get as getWorkflow } from "./workflow/get.ts";
import { list as listWorkflows } from "./workflow/list.ts";
import { listRevisions } from "./workflow/list-revisions.ts";
import { put } from "./workflow/put.ts";
import { validate } from "./workflow/validate.ts";

/** The scheduler's services, as objects that a router or a direct client can call. */
export interface SchedulerServices {
  readonly task: ServiceImpl<typeof TaskService>;
  readonly workflow: ServiceImpl<typeof WorkflowService>;
  readonly execution: ServiceImpl<typeof ExecutionService>;
  readonly intake: ServiceImpl<typeof IntakeService>;
}

export function schedulerServices(deps: SchedulerDeps): SchedulerServices {
  return {
    task: {
      submit: (request, context) => submit(deps, request, context),
      get: (request, context) => get(deps, request, context),
      batchGet: (request, context) => batchGet(deps, request, context),
      list: (request, context) => list(deps, request, context),
      cancel: (request, context) => cancel(deps, request, context),
      batchCancel: (request, context) => batchCancel(deps, request, context),
      retry: (request, context) => retry(deps, request, context),
      watch: (request, context) => watch(deps, request, context),
      listNodeRuns: (request, context) => listNodeRuns(deps, request, context),
    },
    workflow: {
      put: (request, context) => put(deps, request, context),
      get: (request, context) => getWorkflow(deps, request, context),
      list: (request, context) => listWorkflows(deps, request, context),
      listRevisions: (request, context) => listRevisions(deps, request, context),
      validate: (request, context) => validate(request, context),
      delete: (request, context) => deleteWorkflow(deps, request, context),
    },
    execution: {
      claim: (request) => claim(deps, request),
      report: (request) => report(deps, request),
      heartbeat: (request) => heartbeat(deps, request),
      release: (request) => release(deps, request),
      readPayload: (request) => readPayload(deps, request),
      readDefinition: (request) => readDefinition(deps, request),
    },
    intake: {
      submitMany: (request) => submitMany(deps, request),
      recordDeliveries: (request) => recordDeliveries(deps, request),
    },
  };
}
