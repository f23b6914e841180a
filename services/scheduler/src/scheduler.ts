import type { Client } from "@connectrpc/connect";
import {
  type CatalogStore,
  defaultJobRules,
  defaultRules,
  executorSubject,
  gatherCalls,
  type JobStore,
  type Json,
  type LeaseStore,
  type Live,
  type LiveSubscription,
  type PayloadStore,
  partitionSubject,
  type ResourceStore,
  type Rules,
  type TaskStore,
  type Ticket,
  type TicketOutlet,
} from "@longhaul/core";
import type { SubmitItem, SubmitResult } from "@longhaul/proto/intake_service";
import type { NotifierService } from "@longhaul/proto/notifier_service";
import { type Logger, type Part, part, type ResumeKeys, type SecretBox } from "@longhaul/shared";
import { callBook } from "./calls/call-book.ts";
import { jobBells } from "./jobs/job-bells.ts";
import { seenFunctions } from "./jobs/seen-functions.ts";
import { dropJobs } from "./jobs/submit-job.ts";
import { headerCache } from "./ledger/header-cache.ts";
import { type Ledger, type LedgerListener, ledger, type TaskEffect } from "./ledger/ledger.ts";
import { workflowKey } from "./limits/limit-key.ts";
import { limitSettings } from "./limits/limit-settings.ts";
import { slotBook } from "./limits/slot-book.ts";
import { bellsOver } from "./loops/bells.ts";
import { cacheExpiry } from "./loops/cache-expiry.ts";
import { dispatcher } from "./loops/dispatcher.ts";
import { expireOrphans } from "./loops/expire-orphans.ts";
import { handover } from "./loops/handover.ts";
import { jobExpiry } from "./loops/job-expiry.ts";
import { limits } from "./loops/limits.ts";
import { allPartitions, leasedPartitions } from "./loops/partitions.ts";
import { retention } from "./loops/retention.ts";
import { schedules } from "./loops/schedules.ts";
import { storeClock } from "./loops/store-clock.ts";
import { sweeper } from "./loops/sweeper.ts";
import type { SchedulerDeps } from "./rpc/deps.ts";
import { type SchedulerServices, schedulerServices } from "./rpc/services.ts";
import { bringToParent, cancelChildren } from "./tasks/children.ts";
import { submitTasks } from "./tasks/submit-tasks.ts";
import { webhookBody } from "./tasks/webhook-body.ts";
import { catalog } from "./workflows/catalog.ts";

/** What a scheduler needs of its surroundings. */
export interface SchedulerParts {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly catalogStore: CatalogStore;
  readonly resources: ResourceStore;
  readonly jobs: JobStore;
  /** Absent where this is the only scheduler: it looks after all partitions. */
  readonly leases?: LeaseStore;
  readonly outlet: TicketOutlet;
  readonly live: Live;
  readonly notifier: Pick<Client<typeof NotifierService>, "accept">;
  readonly box: SecretBox;
  readonly resume: ResumeKeys;
  /** Where the outside reaches the gateway, without a slash at its end; empty or absent where nobody said. */
  readonly publicUrl?: () => string;
  readonly log: Logger;
  /** Unique name of this process. */
  readonly name: string;
  readonly leaseMs: number;
  readonly sweepMs: number;
  readonly maxTries: number;
  readonly dispatchWindow: number;
  readonly maxValueBytes: number;
  /** How long an ended task is kept once nothing is owed for it; default 30 days. */
  readonly retentionMs?: number;
  readonly rules?: Partial<Rules>;
  /** True when no other process can hold a task: what was running before this start is taken back at once. */
  readonly alone?: boolean;
}

export interface Scheduler {
  readonly services: SchedulerServices;
  /** In the order in which they start. */
  readonly parts: readonly Part[];
  /** Ends the waits of workers when it is drained; to be started behind the server that they call. */
  readonly workerWaits: Part;
}

/** Subject on which schedulers tell each other that a workflow changed. */
const catalogSubject = "catalog";
/** How often the books on tickets are compared with the broker and every backlog is looked into. */
const checkMs = 2_000;
/** Tickets whose second look lies within this are published again when the broker has lost some. */
const lookAheadMs = 120_000;
const acceptTimeoutMs = 10_000;
/** The longest that nobody looks at the schedules: the net behind their timer. */
const scheduleLookMs = 30_000;
const defaultRetentionMs = 30 * 86_400_000;

/** The parts of a scheduler, put together. Adapters are the caller's choice. */
export function scheduler(deps: SchedulerParts): Scheduler {
  const { store, payloads, live, log, retentionMs = defaultRetentionMs } = deps;
  const rules: Rules = { ...defaultRules, leaseMs: deps.leaseMs, maxTries: deps.maxTries, ...deps.rules };
  const clock = storeClock({ read: () => store.now(), log });
  const { now } = clock;

  const changes = bellsOver(live);
  const workerBells = jobBells(live);
  const servedFunctions = seenFunctions(live, now);
  let theLedger: Ledger | undefined;
  const ledgerNow = (): Ledger => {
    if (theLedger === undefined) throw new Error("the ledger is not there yet");
    return theLedger;
  };
  const tickets = dispatcher({ store, outlet: deps.outlet, live, log, window: deps.dispatchWindow, ledger: ledgerNow });
  const debts = handover({
    notifier: deps.notifier,
    ledger: ledgerNow,
    bodyOf: (task, event) => webhookBody(payloads, task, event),
    toParent: (task) => bringToParent({ store, payloads, ledger: ledgerNow }, task),
    toChildren: async (task) => {
      await Promise.all([
        dropJobs({ jobs: deps.jobs, jobBells: workerBells }, task.project, task.id),
        cancelChildren({ store, payloads, ledger: ledgerNow }, task),
      ]);
    },
    freeSlots: (task, hold) => slots.free(task, hold),
    log,
    timeoutMs: acceptTimeoutMs,
  });
  const listener: LedgerListener = {
    changed: (task, before) => {
      changes.changed(task, before);
      timetable.changed(task);
      slots.changed(task, before);
    },
    effects: (effects) => letOut(effects),
    wakeAt: (partition, at) => sweep.note(partition, at),
  };
  // A task is stored unchanged for all of its retention before its id may come again: a header half that old can't be of an earlier one.
  const headers = headerCache(8_192, 33_554_432, retentionMs / 2, now);
  theLedger = ledger({ store, cache: headers, rules, now }, listener);
  const sweep = sweeper({ store, ledger: theLedger, dispatcher: tickets, log, now, sweepMs: deps.sweepMs });
  const expiry = retention({ store, retentionMs, now, log });

  function letOut(effects: readonly TaskEffect[]): void {
    const out = new Map<number, Ticket[]>();
    for (const { task, effect } of effects) {
      switch (effect.kind) {
        case "ticket": {
          const { project, taskId, attempt, alone } = effect;
          const group = out.get(task.partition);
          if (group === undefined) out.set(task.partition, [{ project, taskId, attempt, alone }]);
          else group.push({ project, taskId, attempt, alone });
          break;
        }
        case "refill":
          tickets.ring(effect.partition);
          break;
        case "revoke":
          live.publish(executorSubject(effect.executor), { taskId: effect.taskId, attempt: effect.attempt });
          break;
        case "arrival":
          live.publish(executorSubject(effect.executor), { taskId: effect.taskId, attempt: effect.attempt, arrival: true });
          break;
        case "hand-over":
          debts.enqueue(task, effect.debt);
          break;
        case "look":
          slots.ring(effect.project, effect.key);
          break;
      }
    }
    for (const [partition, group] of out) tickets.publish(partition, group);
  }

  const republish = (): void => {
    sweep
      .lookAgain(lookAheadMs)
      .catch((why: unknown) => log.warn({ err: why }, "unclaimed tasks could not be read; their second look will"));
  };

  const bells = new Map<number, LiveSubscription>();
  const own = (partitions: ReadonlySet<number>): void => {
    const gained = [...partitions].some((partition) => !bells.has(partition));
    for (const [partition, bell] of bells) {
      if (partitions.has(partition)) continue;
      bell.close();
      bells.delete(partition);
    }
    for (const partition of partitions) {
      if (!bells.has(partition))
        bells.set(
          partition,
          live.subscribe(partitionSubject(partition), () => tickets.ring(partition)),
        );
    }
    tickets.own(partitions);
    sweep.own(partitions);
    expiry.own(partitions);
    timetable.own(partitions);
    expiringJobs.own(partitions);
    keptResults.own(partitions);
    slots.own(partitions);
    // Whoever looked after them before may have died between a commit and its tickets, and solo's tickets die with the process.
    if (gained) republish();
  };
  const partitions =
    deps.leases === undefined ? allPartitions(own) : leasedPartitions({ leases: deps.leases, owner: deps.name, now, log, own });

  const workflows = catalog({
    store: deps.catalogStore,
    now,
    announce: (project, name) => {
      live.publish(catalogSubject, { project, name });
      // The latest revision says how many tasks may run side by side.
      slots.ring(project, workflowKey(name));
    },
  });
  const settings = limitSettings({ resources: deps.resources, catalog: workflows, catalogStore: deps.catalogStore, now });
  const book = slotBook(deps.resources, now);
  const slots = limits({
    store,
    resources: deps.resources,
    book,
    settings,
    ledger: ledgerNow,
    dispatcher: tickets,
    live,
    log,
    now,
  });
  const submit = gatherCalls<SubmitItem, SubmitResult>((items) => submitTasks(rpcDeps, items), {
    sizeOf: (item) => item.inputJson.byteLength + 512,
  });
  const timetable = schedules({
    resources: deps.resources,
    store,
    ledger: ledgerNow,
    live,
    box: deps.box,
    now,
    lookMs: scheduleLookMs,
    log,
    submit,
  });
  const keptResults = cacheExpiry({ resources: deps.resources, now, log });
  const expiringJobs = jobExpiry(() => rpcDeps, now);
  const rpcDeps: SchedulerDeps = {
    jobs: deps.jobs,
    jobBells: workerBells,
    seenFunctions: servedFunctions,
    jobRules: { ...defaultJobRules, leaseMs: deps.leaseMs, maxTries: deps.maxTries },
    noteJob: (partition, at) => expiringJobs.note(partition, at),
    store,
    payloads,
    catalogStore: deps.catalogStore,
    resources: deps.resources,
    schedules: timetable,
    limits: slots,
    limitSettings: settings,
    slotBook: book,
    catalog: workflows,
    ledger: theLedger,
    dispatcher: tickets,
    live,
    bells: changes,
    box: deps.box,
    resume: deps.resume,
    calls: callBook({ resources: deps.resources, store, now, leaseMs: rules.leaseMs }),
    publicUrl: deps.publicUrl ?? (() => ""),
    rules,
    log,
    now,
    maxValueBytes: deps.maxValueBytes,
    submit,
  };

  const loops: Part = loopsPart({
    async start() {
      if (deps.alone === true) {
        const orphans = await expireOrphans(store, rpcDeps.ledger, now() + rules.leaseMs);
        if (orphans > 0) log.info({ tasks: orphans }, "tasks of the run before taken back");
      }
      sweep.start();
      timetable.start();
      servedFunctions.start();
      expiringJobs.start();
      keptResults.start();
      slots.start();
      const catalogBell = live.subscribe(catalogSubject, (message) => forget(workflows.forget, message));
      const stopLoss = deps.outlet.onLoss(() => {
        log.warn({}, "tickets may be lost; publishing again what is unclaimed");
        republish();
      });
      const timer = setInterval(() => {
        tickets.check().catch((why: unknown) => log.warn({ err: why }, "tickets not checked"));
      }, checkMs);
      return () => {
        clearInterval(timer);
        stopLoss();
        catalogBell.close();
      };
    },
    async drain() {
      await debts.idle();
    },
    async stop() {
      await timetable.stop();
      workerBells.close();
      servedFunctions.stop();
      await expiringJobs.stop();
      await keptResults.stop();
      await slots.stop();
      await expiry.stop();
      await sweep.stop();
      await tickets.idle();
      for (const bell of bells.values()) bell.close();
      bells.clear();
    },
  });

  return {
    services: schedulerServices(rpcDeps),
    parts: [clock, loops, partitions],
    workerWaits: part("waits of workers", { drain: async () => workerBells.close() }),
  };
}

function loopsPart(does: { start(): Promise<() => void>; drain(): Promise<void>; stop(): Promise<void> }): Part {
  let end: (() => void) | undefined;
  return part("loops", {
    start: async () => {
      end = await does.start();
    },
    drain: (deadline) =>
      Promise.race([does.drain(), new Promise<void>((done) => deadline.addEventListener("abort", () => done(), { once: true }))]),
    stop: async () => {
      end?.();
      await does.stop();
    },
  });
}

function forget(drop: (project: string, name: string) => void, message: Json): void {
  if (message === null || typeof message !== "object" || !("project" in message) || !("name" in message)) return;
  const { project, name } = message as { readonly project: Json; readonly name: Json };
  if (typeof project === "string" && typeof name === "string") drop(project, name);
}
