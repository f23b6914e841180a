import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
// biome-ignore lint/style/noRestrictedImports: the small adapters are the fakes, and only tests import this file.
import { inProcessDispatch, inProcessLive } from "@longhaul/adapters/in-process";
// biome-ignore lint/style/noRestrictedImports: as above.
import { openSqlite, type SqliteStores } from "@longhaul/adapters/sqlite";
import type { Json, Live, Task, Ticket } from "@longhaul/core";
import { ExecutionService, type TaskReport, TaskReportSchema } from "@longhaul/proto/execution_service";
import { IntakeService, SubmitItemSchema, type SubmitResult } from "@longhaul/proto/intake_service";
import { type DeliveryOrder, NotifierServiceAcceptResponseSchema } from "@longhaul/proto/notifier_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { directClient, type Logger, projectHeader, resumeKeys, secretBox, silentLogger } from "@longhaul/shared";
import { type Scheduler, type SchedulerParts, scheduler } from "../scheduler.ts";

export const acme = { headers: { [projectHeader]: "acme" } };
export const box = secretBox([new Uint8Array(32).fill(5)]);
export const resume = resumeKeys([new Uint8Array(32).fill(5)]);

/** Definitions that tests submit to; `echo` and `strict` are there from the start. */
export const echo: { readonly [key: string]: Json } = {
  name: "echo",
  nodes: [{ id: "a", kind: "transform", with: "${ input }" }],
};
export const strict: { readonly [key: string]: Json } = {
  name: "strict",
  input: { type: "object", required: ["n"], properties: { n: { type: "integer" } } },
  limits: { deadline: "2h" },
  nodes: [{ id: "a", kind: "transform", with: "${ input }" }],
};

export type ItemInit = MessageInitShape<typeof SubmitItemSchema>;
export type ReportInit = MessageInitShape<typeof TaskReportSchema>;

export interface StartedScheduler {
  readonly scheduler: Scheduler;
  readonly stores: SqliteStores;
  readonly dispatch: ReturnType<typeof inProcessDispatch>;
  readonly live: Live;
  readonly tasks: Client<typeof TaskService>;
  readonly workflows: Client<typeof WorkflowService>;
  readonly workers: Client<typeof WorkerService>;
  readonly execution: Client<typeof ExecutionService>;
  readonly intake: Client<typeof IntakeService>;
  /** Tickets that came out, in their order; taken as soon as they come. */
  readonly tickets: Ticket[];
  /** What was handed to the notifier, and what it does. */
  readonly orders: DeliveryOrder[];
  readonly notifier: { accept: (orders: readonly DeliveryOrder[]) => Promise<readonly string[]> };
  readonly logged: { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[];
  submit(...items: readonly ItemInit[]): Promise<readonly SubmitResult[]>;
  /** The id of a task that was accepted. */
  accepted(item?: ItemInit): Promise<string>;
  claim(id: string, attempt?: number, executor?: string): Promise<boolean>;
  report(id: string, report: ReportInit, executor?: string): Promise<number>;
  task(id: string): Promise<Task>;
  stop(): Promise<void>;
}

export interface StartOptions extends Partial<SchedulerParts> {
  readonly stores?: SqliteStores;
  readonly dispatch?: ReturnType<typeof inProcessDispatch>;
  /** Tickets that are taken; more stay in the broker. Default all. */
  readonly taken?: number;
}

let made = 0;
/** A fresh id in the form of a UUIDv7; ids rise. */
export function freshId(): string {
  made++;
  return `01930000-0000-7000-8000-${made.toString(16).padStart(12, "0")}`;
}

export function jsonOf(value: Json): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** A scheduler on the small adapters, started, with its clients and a notifier that takes everything. */
export async function startScheduler(options: StartOptions = {}): Promise<StartedScheduler> {
  const { stores = openSqlite({ file: ":memory:" }), taken = 1_000_000, ...more } = options;
  const window = more.dispatchWindow ?? 100;
  const dispatch = options.dispatch ?? inProcessDispatch({ window });
  const live = more.live ?? inProcessLive();
  const tickets: Ticket[] = [];
  const orders: DeliveryOrder[] = [];
  const logged: StartedScheduler["logged"] = [];
  const notifier: StartedScheduler["notifier"] = { accept: async (given) => given.map(({ id }) => id) };
  const log: Logger = {
    ...silentLogger,
    warn: (fields, message) => void logged.push({ level: "warn", message, fields }),
    error: (fields, message) => void logged.push({ level: "error", message, fields }),
  };

  const made = scheduler({
    store: stores.tasks,
    payloads: stores.payloads,
    catalogStore: stores.catalog,
    resources: stores.resources,
    jobs: stores.jobs,
    outlet: dispatch.outlet,
    live,
    notifier: {
      accept: async ({ orders: given = [] }) => {
        orders.push(...(given as DeliveryOrder[]));
        const accepted = await notifier.accept(given as DeliveryOrder[]);
        return create(NotifierServiceAcceptResponseSchema, { accepted: [...accepted] });
      },
    },
    box,
    resume,
    publicUrl: () => "https://lh.test",
    log,
    name: "scheduler-1",
    leaseMs: 15_000,
    sweepMs: 1_000,
    maxTries: 3,
    dispatchWindow: window,
    maxValueBytes: 1_048_576,
    ...more,
  });
  const flow = dispatch.inlet.consume(async (given) => {
    tickets.push(...given);
    return given.map(() => ({ kind: "done" as const }));
  });
  flow.grant(taken);
  for (const part of made.parts) await part.start();

  const self: StartedScheduler = {
    scheduler: made,
    stores,
    dispatch,
    live,
    tasks: directClient(TaskService, made.services.task),
    workflows: directClient(WorkflowService, made.services.workflow),
    workers: directClient(WorkerService, made.services.worker),
    execution: directClient(ExecutionService, made.services.execution),
    intake: directClient(IntakeService, made.services.intake),
    tickets,
    orders,
    notifier,
    logged,
    async submit(...items) {
      const { results } = await self.intake.submitMany({
        items: items.map((item) =>
          create(
            SubmitItemSchema,
            Object.assign({ id: freshId(), project: "acme", workflow: "echo", inputJson: jsonOf({ n: 1 }) }, item),
          ),
        ),
      });
      return results;
    },
    async accepted(item = {}) {
      const [one] = await self.submit(item);
      if (one?.result.case !== "accepted") throw new Error(`not accepted: ${JSON.stringify(one?.result.value)}`);
      return one.result.value.id;
    },
    async claim(id, attempt = 0, executor = "executor-1") {
      const { results } = await self.execution.claim({ executor, tickets: [{ taskId: id, attempt, project: "acme" }] });
      return results[0]?.claimed !== undefined;
    },
    async report(id, report, executor = "executor-1") {
      const { results } = await self.execution.report({
        executor,
        reports: [create(TaskReportSchema, Object.assign({ taskId: id, attempt: 1, number: 1, project: "acme" }, report))],
      });
      return results[0]?.verdict ?? 0;
    },
    async task(id) {
      const [stored] = await stores.tasks.get([{ project: "acme", id }]);
      if (stored === undefined) throw new Error(`no task ${id}`);
      return stored.task;
    },
    async stop() {
      await flow.stop();
      for (const part of [...made.parts].reverse()) await part.stop();
    },
  };
  await self.workflows.put({ name: "echo", definition: JSON.parse(JSON.stringify(echo)) }, acme);
  await self.workflows.put({ name: "strict", definition: JSON.parse(JSON.stringify(strict)) }, acme);
  return self;
}

export const success = (value: Json): TaskReport["outcome"] =>
  create(TaskReportSchema, { outcome: { case: "success", value: { outputJson: jsonOf(value) } } }).outcome;
export const progress: TaskReport["outcome"] = create(TaskReportSchema, { outcome: { case: "progress", value: {} } }).outcome;

/** A few turns of the event loop: what is under way settles. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Passes time on in steps, because what the loops do between two timers takes real turns of the event loop. */
export function stepsOf(advance: (ms: number) => Promise<unknown>): (ms: number) => Promise<void> {
  return async (ms) => {
    for (let left = ms; left > 0; left -= 250) {
      await advance(Math.min(left, 250));
      await settle();
    }
  };
}
