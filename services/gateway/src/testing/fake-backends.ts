import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { DeliverySchema, DeliveryService } from "@longhaul/proto/delivery_service";
import { IntakeService, type SubmitItem, type SubmitResult, SubmitResultSchema } from "@longhaul/proto/intake_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { type Schedule, ScheduleService } from "@longhaul/proto/schedule_service";
import { type Secret, SecretSchema, SecretService } from "@longhaul/proto/secret_service";
import { DeliveryState, NodeRunSchema, NodeState, type Task, TaskSchema, TaskState } from "@longhaul/proto/task";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { type Workflow, WorkflowSchema, WorkflowService } from "@longhaul/proto/workflow_service";
import { answerErrors, directClient, projectOf, serviceClient, silentLogger, valueFromJson } from "@longhaul/shared";
import type { GatewayClients } from "../clients.ts";
import { fakeLimits } from "./fake-limits.ts";

export interface FakeBackends {
  readonly tasks: Partial<ServiceImpl<typeof TaskService>>;
  readonly workflows: Partial<ServiceImpl<typeof WorkflowService>>;
  readonly workers: Partial<ServiceImpl<typeof WorkerService>>;
  readonly schedules: Partial<ServiceImpl<typeof ScheduleService>>;
  readonly secrets: Partial<ServiceImpl<typeof SecretService>>;
  readonly connections: Partial<ServiceImpl<typeof ConnectionService>>;
  readonly limits: Partial<ServiceImpl<typeof LimitService>>;
  readonly deliveries: Partial<ServiceImpl<typeof DeliveryService>>;
  readonly intake: Partial<ServiceImpl<typeof IntakeService>>;
  /** What the scheduler has stored, by id. */
  readonly stored: Map<string, Task>;
  /** Every group of submits that came. */
  readonly groups: SubmitItem[][];
  /** The last requests, newest last, with the project that asked. */
  readonly seen: { readonly method: string; readonly project: string; readonly request: unknown }[];
}

/** Backends that do the least that makes sense; a test replaces single methods. */
export function fakeBackends(): FakeBackends {
  const stored = new Map<string, Task>();
  const byKey = new Map<string, { readonly id: string; readonly hash: string }>();
  const groups: SubmitItem[][] = [];
  const seen: FakeBackends["seen"] = [];
  const workflows = new Map<string, Workflow>();
  const schedules = new Map<string, Schedule>();
  const secrets = new Map<string, Secret>();
  const scheduleOf = (name: string): Schedule => {
    const schedule = schedules.get(name);
    if (schedule === undefined) throw new LonghaulError("not_found", "there is no such schedule");
    return schedule;
  };
  const note = (method: string, context: { readonly requestHeader: Headers }, request: unknown): string => {
    const project = projectOf(context);
    seen.push({ method, project, request });
    return project;
  };
  const find = (id: string, project: string): Task => {
    const task = stored.get(id);
    if (!task || task.project !== project)
      throw new LonghaulError("task_not_found", `there is no task ${JSON.stringify(id.slice(0, 80))}`);
    return task;
  };
  const accept = (item: SubmitItem): SubmitResult => {
    if (item.workflow === "missing") {
      return create(SubmitResultSchema, {
        result: { case: "refused", value: { code: "workflow_not_found", message: "there is no workflow missing" } },
      });
    }
    if (item.workflow === "picky") {
      const faults = [{ pointer: "/input/url", message: "is required" }];
      return create(SubmitResultSchema, {
        result: { case: "refused", value: { code: "invalid_input", message: "the input lacks url", faults } },
      });
    }
    const hash = Buffer.from(item.bodyHash).toString("hex");
    const key = item.idempotencyKey && `${item.project}/${item.workflow}/${item.idempotencyKey}`;
    const earlier = key ? byKey.get(key) : undefined;
    if (earlier) {
      if (earlier.hash !== hash) {
        return create(SubmitResultSchema, {
          result: { case: "refused", value: { code: "idempotency_mismatch", message: "the key belongs to another request" } },
        });
      }
      return create(SubmitResultSchema, { result: { case: "replayed", value: find(earlier.id, item.project) } });
    }
    if (key) byKey.set(key, { id: item.id, hash });
    const task = create(TaskSchema, {
      id: item.id,
      project: item.project,
      workflow: item.workflow,
      revision: item.revision || 1,
      state: TaskState.QUEUED,
      labels: item.labels,
      priority: item.priority,
      createTime: timestampNow(),
      version: 1n,
      links: { self: `/v1/tasks/${item.id}` },
    });
    stored.set(item.id, { ...task, input: valueFromJson(JSON.parse(Buffer.from(item.inputJson).toString())) });
    return create(SubmitResultSchema, { result: { case: "accepted", value: task } });
  };

  return {
    stored,
    groups,
    seen,
    intake: {
      submitMany({ items }) {
        groups.push(items);
        return { results: items.map(accept) };
      },
    },
    tasks: {
      get(request, context) {
        const task = find(request.id, note("Get", context, request));
        return request.ifNoneMatch === task.version ? { unchanged: true } : { task };
      },
      batchGet({ ids }, context) {
        note("BatchGet", context, ids);
        return { tasks: ids.flatMap((id) => stored.get(id) ?? []), missing: ids.filter((id) => !stored.has(id)) };
      },
      list(request, context) {
        note("List", context, request);
        if (request.pageToken !== "" && request.pageToken !== "good")
          throw new LonghaulError("invalid_argument", "the page token is not one of ours");
        return { tasks: [...stored.values()] };
      },
      cancel(request, context) {
        const task = { ...find(request.id, note("Cancel", context, request)), state: TaskState.CANCELLED, version: 2n };
        stored.set(task.id, task);
        return { task };
      },
      batchCancel({ ids }, context) {
        note("BatchCancel", context, ids);
        return { tasks: ids.flatMap((id) => stored.get(id) ?? []), missing: ids.filter((id) => !stored.has(id)) };
      },
      retry(request, context) {
        const task = find(request.id, note("Retry", context, request));
        if (task.state === TaskState.QUEUED) throw new LonghaulError("conflict", "the task has not ended");
        return {
          task: { ...task, id: "0199a000-0000-7000-8000-000000000002", retryOf: task.id },
          replayed: request.requestId === "again",
        };
      },
      async *watch(request, context) {
        const task = find(request.id, note("Watch", context, request));
        if (request.lastEventId === "9.9.9") return;
        yield { id: "1.0.0", event: { case: "task", value: task } };
        yield {
          id: "2.1.1",
          event: {
            case: "node",
            value: create(NodeRunSchema, { path: "a", kind: "transform", state: NodeState.SUCCEEDED, attempt: 1 }),
          },
        };
        yield {
          event: { case: "progress", value: { $typeName: "longhaul.v1.NodeProgress", node: "a", delta: valueFromJson("x\ny") } },
        };
        yield { id: "3.1.2", event: { case: "end", value: { ...task, state: TaskState.SUCCEEDED } } };
      },
      listNodeRuns(request, context) {
        find(request.taskId, note("ListNodeRuns", context, request));
        return { nodes: [create(NodeRunSchema, { path: "a", kind: "transform", state: NodeState.SUCCEEDED })] };
      },
    },
    workflows: {
      enable(request, context) {
        note("Enable", context, request);
        return { workflow: create(WorkflowSchema, { name: request.name, enabled: true }) };
      },
      disable(request, context) {
        note("Disable", context, request);
        return { workflow: create(WorkflowSchema, { name: request.name, enabled: false }) };
      },
      put(request, context) {
        const project = note("Put", context, request);
        const workflow = create(WorkflowSchema, {
          name: request.name,
          project,
          revision: 1,
          enabled: true,
          ...(request.definition && { definition: request.definition }),
        });
        workflows.set(request.name, workflow);
        return { workflow };
      },
      get(request, context) {
        note("Get", context, request);
        const workflow = workflows.get(request.name);
        if (!workflow) throw new LonghaulError("workflow_not_found", "there is no such workflow");
        return { workflow: { ...workflow, revision: request.revision || 1 } };
      },
      list(request, context) {
        note("List", context, request);
        return { workflows: [...workflows.values()] };
      },
      listRevisions(request, context) {
        note("ListRevisions", context, request);
        return { revisions: [...workflows.values()] };
      },
      validate(request, context) {
        note("Validate", context, request);
        return {
          valid: false,
          errors: [{ pointer: "/nodes/0/needs/0", node: "a", message: "there is no node b", mend: "add it" }],
        };
      },
      diff(request, context) {
        note("Diff", context, request);
        if (!workflows.has(request.name)) throw new LonghaulError("workflow_not_found", "there is no such workflow");
        return { from: request.from || 1, to: request.to || 2, same: true };
      },
      importDify(request, context) {
        note("ImportDify", context, request);
        if (!request.text.includes("kind")) throw new LonghaulError("invalid_argument", "this is no Dify app");
        return {
          definition: { name: "imported", nodes: [] },
          report: { app: request.text.slice(0, 100), complete: true },
          valid: true,
        };
      },
      delete(request, context) {
        note("Delete", context, request);
        if (!workflows.delete(request.name)) throw new LonghaulError("workflow_not_found", "there is no such workflow");
        return {};
      },
    },
    workers: {
      poll(request, context) {
        note("Poll", context, request);
        return {
          jobs: request.functions.map(({ name }) => ({ id: `job of ${name}`, fence: 1n, function: name })),
        };
      },
      complete(request, context) {
        note("Complete", context, request);
        if (request.fence !== 1n) throw new LonghaulError("conflict", "the lease of the job is lost");
        return {};
      },
    },
    schedules: {
      put(request, context) {
        note("Put", context, request);
        if (request.schedule === undefined) throw new LonghaulError("invalid_argument", "the schedule is missing");
        const schedule = { ...request.schedule, name: request.name };
        schedules.set(request.name, schedule);
        return { schedule };
      },
      get(request, context) {
        note("Get", context, request);
        return { schedule: scheduleOf(request.name) };
      },
      list(request, context) {
        note("List", context, request);
        return { schedules: [...schedules.values()] };
      },
      delete(request, context) {
        note("Delete", context, request);
        schedules.delete(scheduleOf(request.name).name);
        return {};
      },
      pause(request, context) {
        note("Pause", context, request);
        return { schedule: { ...scheduleOf(request.name), paused: true } };
      },
      resume(request, context) {
        note("Resume", context, request);
        return { schedule: { ...scheduleOf(request.name), paused: false } };
      },
      runNow(request, context) {
        note("RunNow", context, request);
        return { taskId: `task of ${scheduleOf(request.name).name}` };
      },
    },
    secrets: {
      put(request, context) {
        const project = note("PutSecret", context, request);
        const secret = create(SecretSchema, { name: request.name, description: request.description });
        secrets.set(`${project}/${request.name}`, secret);
        return { secret };
      },
      list(request, context) {
        const project = note("ListSecrets", context, request);
        return { secrets: [...secrets].flatMap(([key, secret]) => (key.startsWith(`${project}/`) ? [secret] : [])) };
      },
      delete(request, context) {
        const project = note("DeleteSecret", context, request);
        if (!secrets.delete(`${project}/${request.name}`)) throw new LonghaulError("not_found", "there is no such secret");
        return {};
      },
    },
    limits: fakeLimits(note),
    connections: {
      put(request, context) {
        note("PutConnection", context, request);
        return request.connection === undefined ? {} : { connection: { ...request.connection, apiKey: "", hasApiKey: true } };
      },
      list(request, context) {
        note("ListConnections", context, request);
        return {};
      },
    },
    deliveries: {
      list(request, context) {
        note("List", context, request);
        return {
          deliveries: [
            create(DeliverySchema, {
              id: `${request.taskId}.task.succeeded`,
              taskId: request.taskId,
              state: DeliveryState.DELIVERED,
              createTime: timestampFromMs(0),
            }),
          ],
        };
      },
      get(request, context) {
        note("Get", context, request);
        if (!request.id.endsWith("task.succeeded")) throw new LonghaulError("delivery_not_found", "there is no such delivery");
        return { delivery: create(DeliverySchema, { id: request.id, state: DeliveryState.EXHAUSTED }) };
      },
      replay(request, context) {
        note("Replay", context, request);
        return { delivery: create(DeliverySchema, { id: request.id, state: DeliveryState.PENDING }) };
      },
    },
  };
}

/** Looks a method up when it is called, so that a test can replace it at any time. */
function late<T extends object>(methods: T): T {
  return new Proxy(methods, {
    get(target, name) {
      if (typeof Reflect.get(target, name) !== "function") return Reflect.get(target, name);
      return (...args: unknown[]): unknown => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") throw new Error(`no fake for ${String(name)}`);
        return Reflect.apply(method, target, args);
      };
    },
  });
}

/** Clients that call the fakes themselves, as in solo. */
export function directClients(fake: FakeBackends): GatewayClients {
  return {
    tasks: directClient(TaskService, late(fake.tasks)),
    workflows: directClient(WorkflowService, late(fake.workflows)),
    workers: directClient(WorkerService, late(fake.workers)),
    schedules: directClient(ScheduleService, late(fake.schedules)),
    secrets: directClient(SecretService, late(fake.secrets)),
    connections: directClient(ConnectionService, late(fake.connections)),
    limits: directClient(LimitService, late(fake.limits)),
    deliveries: directClient(DeliveryService, late(fake.deliveries)),
    intake: directClient(IntakeService, late(fake.intake)),
  };
}

/** Clients that reach the fakes over an in-memory transport, so that everything is serialised, as between processes. */
export function transportClients(fake: FakeBackends): GatewayClients {
  const transport = createRouterTransport(
    (router) => {
      router.service(TaskService, late(fake.tasks));
      router.service(WorkflowService, late(fake.workflows));
      router.service(WorkerService, late(fake.workers));
      router.service(ScheduleService, late(fake.schedules));
      router.service(SecretService, late(fake.secrets));
      router.service(ConnectionService, late(fake.connections));
      router.service(LimitService, late(fake.limits));
      router.service(DeliveryService, late(fake.deliveries));
      router.service(IntakeService, late(fake.intake));
    },
    { router: { interceptors: [answerErrors(silentLogger)] } },
  );
  return {
    tasks: serviceClient(TaskService, transport),
    workflows: serviceClient(WorkflowService, transport),
    workers: serviceClient(WorkerService, transport),
    schedules: serviceClient(ScheduleService, transport),
    secrets: serviceClient(SecretService, transport),
    connections: serviceClient(ConnectionService, transport),
    limits: serviceClient(LimitService, transport),
    deliveries: serviceClient(DeliveryService, transport),
    intake: serviceClient(IntakeService, transport),
  };
}
