import type { ServiceImpl } from "@connectrpc/connect";
import type { ConnectionService } from "@longhaul/proto/connection_service";
import type { ExecutionService } from "@longhaul/proto/execution_service";
import type { IntakeService } from "@longhaul/proto/intake_service";
import type { LimitService } from "@longhaul/proto/limit_service";
import type { ScheduleService } from "@longhaul/proto/schedule_service";
import type { SecretService } from "@longhaul/proto/secret_service";
import type { TaskService } from "@longhaul/proto/task_service";
import type { WorkerService } from "@longhaul/proto/worker_service";
import type { WorkflowService } from "@longhaul/proto/workflow_service";
import { deleteConnection } from "./connection/delete.ts";
import { get as getConnection } from "./connection/get.ts";
import { list as listConnections } from "./connection/list.ts";
import { put as putConnection } from "./connection/put.ts";
import type { SchedulerDeps } from "./deps.ts";
import { acquireCall } from "./execution/acquire-call.ts";
import { claim } from "./execution/claim.ts";
import { heartbeat } from "./execution/heartbeat.ts";
import { listStoredNodes } from "./execution/list-stored-nodes.ts";
import { readCache } from "./execution/read-cache.ts";
import { readConnection } from "./execution/read-connection.ts";
import { readDefinition } from "./execution/read-definition.ts";
import { readPayload } from "./execution/read-payload.ts";
import { readSecrets } from "./execution/read-secrets.ts";
import { release } from "./execution/release.ts";
import { releaseCall } from "./execution/release-call.ts";
import { report } from "./execution/report.ts";
import { startChild } from "./execution/start-child.ts";
import { submitJob } from "./execution/submit-job.ts";
import { writeCache } from "./execution/write-cache.ts";
import { recordDeliveries } from "./intake/record-deliveries.ts";
import { submitMany } from "./intake/submit-many.ts";
import { deleteLimit } from "./limit/delete.ts";
import { get as getLimit } from "./limit/get.ts";
import { list as listLimits } from "./limit/list.ts";
import { put as putLimit } from "./limit/put.ts";
import { deleteSchedule } from "./schedule/delete.ts";
import { get as getSchedule } from "./schedule/get.ts";
import { list as listSchedules } from "./schedule/list.ts";
import { pause, resume as resumeSchedule } from "./schedule/pause.ts";
import { put as putSchedule } from "./schedule/put.ts";
import { runNow } from "./schedule/run-now.ts";
import { deleteSecret } from "./secret/delete.ts";
import { list as listSecrets } from "./secret/list.ts";
import { put as putSecret } from "./secret/put.ts";
import { batchGet } from "./task/batch-get.ts";
import { batchCancel, cancel } from "./task/cancel.ts";
import { get } from "./task/get.ts";
import { list } from "./task/list.ts";
import { listNodeRuns } from "./task/list-node-runs.ts";
import { createResumeLink, resume } from "./task/resume.ts";
import { retry } from "./task/retry.ts";
import { signal } from "./task/signal.ts";
import { submit } from "./task/submit.ts";
import { watch } from "./task/watch.ts";
import { complete } from "./worker/complete.ts";
import { fail } from "./worker/fail.ts";
import { heartbeat as heartbeatJobs } from "./worker/heartbeat.ts";
import { log } from "./worker/log.ts";
import { poll } from "./worker/poll.ts";
import { progress } from "./worker/progress.ts";
import { releaseJob } from "./worker/release.ts";
import { deleteWorkflow } from "./workflow/delete.ts";
import { diff } from "./workflow/diff.ts";
import { disable, enable } from "./workflow/enable.ts";
import { get as getWorkflow } from "./workflow/get.ts";
import { importDify } from "./workflow/import-dify.ts";
import { list as listWorkflows } from "./workflow/list.ts";
import { listRevisions } from "./workflow/list-revisions.ts";
import { put } from "./workflow/put.ts";
import { validate } from "./workflow/validate.ts";

/** The scheduler's services, as objects that a router or a direct client can call. */
export interface SchedulerServices {
  readonly task: ServiceImpl<typeof TaskService>;
  readonly workflow: ServiceImpl<typeof WorkflowService>;
  readonly worker: ServiceImpl<typeof WorkerService>;
  readonly schedule: ServiceImpl<typeof ScheduleService>;
  readonly secret: ServiceImpl<typeof SecretService>;
  readonly connection: ServiceImpl<typeof ConnectionService>;
  readonly limit: ServiceImpl<typeof LimitService>;
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
      signal: (request, context) => signal(deps, request, context),
      createResumeLink: (request, context) => createResumeLink(deps, request, context),
      resume: (request) => resume(deps, request),
      watch: (request, context) => watch(deps, request, context),
      listNodeRuns: (request, context) => listNodeRuns(deps, request, context),
    },
    workflow: {
      put: (request, context) => put(deps, request, context),
      get: (request, context) => getWorkflow(deps, request, context),
      list: (request, context) => listWorkflows(deps, request, context),
      listRevisions: (request, context) => listRevisions(deps, request, context),
      validate: (request, context) => validate(request, context),
      diff: (request, context) => diff(deps, request, context),
      importDify: (request, context) => importDify(request, context),
      enable: (request, context) => enable(deps, request, context),
      disable: (request, context) => disable(deps, request, context),
      delete: (request, context) => deleteWorkflow(deps, request, context),
    },
    worker: {
      poll: (request, context) => poll(deps, request, context),
      heartbeat: (request, context) => heartbeatJobs(deps, request, context),
      release: (request, context) => releaseJob(deps, request, context),
      complete: (request, context) => complete(deps, request, context),
      fail: (request, context) => fail(deps, request, context),
      progress: (request, context) => progress(deps, request, context),
      log: (request, context) => log(deps, request, context),
    },
    schedule: {
      put: (request, context) => putSchedule(deps, request, context),
      get: (request, context) => getSchedule(deps, request, context),
      list: (request, context) => listSchedules(deps, request, context),
      delete: (request, context) => deleteSchedule(deps, request, context),
      pause: (request, context) => pause(deps, request, context),
      resume: (request, context) => resumeSchedule(deps, request, context),
      runNow: (request, context) => runNow(deps, request, context),
    },
    secret: {
      put: (request, context) => putSecret(deps, request, context),
      list: (request, context) => listSecrets(deps, request, context),
      delete: (request, context) => deleteSecret(deps, request, context),
    },
    connection: {
      put: (request, context) => putConnection(deps, request, context),
      get: (request, context) => getConnection(deps, request, context),
      list: (request, context) => listConnections(deps, request, context),
      delete: (request, context) => deleteConnection(deps, request, context),
    },
    limit: {
      put: (request, context) => putLimit(deps, request, context),
      get: (request, context) => getLimit(deps, request, context),
      list: (request, context) => listLimits(deps, request, context),
      delete: (request, context) => deleteLimit(deps, request, context),
    },
    execution: {
      claim: (request) => claim(deps, request),
      report: (request) => report(deps, request),
      heartbeat: (request) => heartbeat(deps, request),
      release: (request) => release(deps, request),
      readPayload: (request) => readPayload(deps, request),
      readDefinition: (request) => readDefinition(deps, request),
      listStoredNodes: (request) => listStoredNodes(deps, request),
      startChild: (request) => startChild(deps, request),
      submitJob: (request) => submitJob(deps, request),
      readConnection: (request) => readConnection(deps, request),
      readSecrets: (request) => readSecrets(deps, request),
      acquireCall: (request) => acquireCall(deps, request),
      releaseCall: (request) => releaseCall(deps, request),
      readCache: (request) => readCache(deps, request),
      writeCache: (request) => writeCache(deps, request),
    },
    intake: {
      submitMany: (request) => submitMany(deps, request),
      recordDeliveries: (request) => recordDeliveries(deps, request),
    },
  };
}
