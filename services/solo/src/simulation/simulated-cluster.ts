import { openSqlite } from "@longhaul/adapters/sqlite";
import { LonghaulError, type TaskStore } from "@longhaul/core";
import { type Executor, executor } from "@longhaul/executor";
import { notifier } from "@longhaul/notifier";
import { ExecutionService } from "@longhaul/proto/execution_service";
import { IntakeService } from "@longhaul/proto/intake_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { scheduler } from "@longhaul/scheduler";
import { directClient, type Part, resumeKeys, secretBox, silentLogger } from "@longhaul/shared";
import type { Faults } from "./faults.ts";
import { type OutsideWorld, outsideWorld } from "./outside-world.ts";
import { type SimulatedBroker, simulatedBroker } from "./simulated-broker.ts";
import type { SimulatedProcess } from "./simulated-time.ts";
import { type Sabotage, type StoreLog, watchedStore } from "./watched-store.ts";

export const concurrency = 4;
const window = 6;
const leaseMs = 15_000;

const schedulerServices = [TaskService, WorkflowService, ExecutionService, IntakeService] as const;

/** One process of the cluster, with what can be called in it. */
interface Member {
  readonly role: "scheduler" | "executor" | "notifier";
  readonly place: number;
  readonly process: SimulatedProcess;
  readonly parts: readonly Part[];
  /** Clients by the name of the service. */
  readonly clients: ReadonlyMap<string, object>;
  readonly runner?: Executor;
}

/** The real services in one thread, each in a process of its own, over one store. */
export interface SimulatedCluster {
  readonly broker: SimulatedBroker;
  readonly outside: OutsideWorld;
  readonly log: StoreLog;
  readonly stores: ReturnType<typeof openSqlite>;
  readonly members: readonly Member[];
  readonly broken: string[];
  /** The clients of a gateway that is never lost itself, over a line that is. */
  client<S extends (typeof schedulerServices)[number]>(service: S): ReturnType<typeof directClient<S>>;
  /** A process is gone from one moment to the next; another takes its place after a while. */
  crash(member: Member, backMs: number): void;
  /** It drains as after SIGTERM, and another takes its place. */
  restart(member: Member): void;
  freeze(member: Member, ms: number): void;
}

export function simulatedCluster(faults: Faults, sabotage: Sabotage): SimulatedCluster {
  const { time, random } = faults;
  const stores = openSqlite({ file: ":memory:" });
  const trueClock = { now: async () => time.now() };
  const watched = watchedStore({ ...stores.tasks, ...trueClock } satisfies TaskStore, sabotage);
  const broker = simulatedBroker(faults, window);
  const outside = outsideWorld(faults, () => watched.log);
  const secretKeys = [new Uint8Array(32).fill(3)];
  const box = secretBox(secretKeys);
  const resume = resumeKeys(secretKeys);
  const members: Member[] = [];
  const broken: string[] = [];
  let born = 0;

  const newProcess = (role: string, place: number): SimulatedProcess => {
    born++;
    return { name: `${role}-${place}-${born}`, dead: false, frozenUntil: 0, skewMs: Math.round((random() - 0.5) * 3_000) };
  };

  /** A client whose calls go to some living member that has the service; they take time, get lost, and run out of it. */
  function remote<T extends object>(from: SimulatedProcess, service: string, shape: T): T {
    return new Proxy(shape, {
      get:
        (_, key) =>
        (request: unknown, options: { readonly timeoutMs?: number } = {}) => {
          const answered = faults.cross(from, `${service}.${String(key)}`, async () => {
            const able = members.filter(({ clients, process }) => clients.has(service) && !process.dead);
            const member = able[Math.floor(random() * able.length)];
            const target = member?.clients.get(service);
            if (member === undefined || target === undefined) throw new LonghaulError("unavailable", `nobody serves ${service}`);
            while (member.process.frozenUntil > time.now()) await time.wait(member.process.frozenUntil - time.now());
            const method: unknown = Reflect.get(target, key);
            if (typeof method !== "function") throw new Error(`${service} has no method ${String(key)}`);
            return time.as(member.process, () => Reflect.apply(method, target, [request, options]));
          });
          const late = new Promise<never>((_resolve, reject) => {
            const why = new LonghaulError("deadline_exceeded", "the call ran out of time");
            time.later(options.timeoutMs ?? 15_000, () => reject(why), from);
          });
          return Promise.race([answered, late]);
        },
    });
  }

  function newScheduler(place: number): Member {
    const process = newProcess("scheduler", place);
    return time.as(process, () => {
      const { services, parts } = scheduler({
        store: faults.wrap(process, "tasks", watched.store),
        payloads: faults.wrap(process, "payloads", stores.payloads),
        catalogStore: faults.wrap(process, "catalog", stores.catalog),
        resources: faults.wrap(process, "resources", stores.resources),
        leases: faults.wrap(process, "leases", stores.leases),
        jobs: faults.wrap(process, "jobs", stores.jobs),
        outlet: broker.outlet(process),
        live: broker.live(process),
        notifier: remote(process, NotifierService.typeName, directClient(NotifierService, {})),
        box,
        resume,
        log: silentLogger,
        name: process.name,
        leaseMs,
        sweepMs: 1_000,
        maxTries: 200,
        dispatchWindow: window,
        maxValueBytes: 1_048_576,
      });
      const clients = new Map<string, object>([
        [TaskService.typeName, directClient(TaskService, services.task)],
        [WorkflowService.typeName, directClient(WorkflowService, services.workflow)],
        [ExecutionService.typeName, directClient(ExecutionService, services.execution)],
        [IntakeService.typeName, directClient(IntakeService, services.intake)],
      ]);
      return { role: "scheduler", place, process, parts, clients };
    });
  }

  function newExecutor(place: number): Member {
    const process = newProcess("executor", place);
    return time.as(process, () => {
      const inlet = broker.inlet(process);
      const runner: Executor = executor({
        client: remote(process, ExecutionService.typeName, directClient(ExecutionService, {})),
        inlet: {
          consume: (take) =>
            inlet.consume((tickets) => {
              if (runner.held() + tickets.length > concurrency) broken.push(`${process.name} was given more than it can start`);
              return take(tickets);
            }),
        },
        live: broker.live(process),
        outbound: outside.outbound(process),
        log: silentLogger,
        name: process.name,
        concurrency,
        maxValueBytes: 1_048_576,
        // Each machine counts from its own start; nobody else's clock matters.
        monotonic: () => time.now() + process.skewMs * 1_000,
      });
      return { role: "executor", place, process, parts: [runner], clients: new Map(), runner };
    });
  }

  function newNotifier(place: number): Member {
    const process = newProcess("notifier", place);
    return time.as(process, () => {
      const { services, parts } = notifier({
        store: faults.wrap(process, "deliveries", { ...stores.deliveries, ...trueClock }),
        outbound: outside.outbound(process),
        intake: remote(process, IntakeService.typeName, directClient(IntakeService, {})),
        box,
        log: silentLogger,
        rule: { attempts: 40, delayMs: 500, factor: 2, maxMs: 10_000, jitter: 0.1 },
        sweepMs: 1_000,
      });
      const clients = new Map<string, object>([[NotifierService.typeName, directClient(NotifierService, services.notifier)]]);
      return { role: "notifier", place, process, parts, clients };
    });
  }

  const make = { scheduler: newScheduler, executor: newExecutor, notifier: newNotifier };

  function begin(role: Member["role"], place: number): void {
    const member = make[role](place);
    const at = members.findIndex((one) => one.role === role && one.place === place);
    if (at < 0) members.push(member);
    else members[at] = member;
    faults.note(`${time.now()} ${member.process.name} begins`);
    void time.as(member.process, async () => {
      try {
        for (const part of member.parts) await part.start();
      } catch {
        // As a process whose start fails: it ends, and something starts it again.
        self.crash(member, 1_000);
      }
    });
  }

  const self: SimulatedCluster = {
    broker,
    outside,
    log: watched.log,
    stores,
    members,
    broken,
    client(service) {
      const gateway: SimulatedProcess = { name: "gateway", dead: false, frozenUntil: 0, skewMs: 0 };
      return remote(gateway, service.typeName, directClient(service, {}));
    },
    crash(member, backMs) {
      if (member.process.dead) return;
      faults.note(`${time.now()} ${member.process.name} dies`);
      member.process.dead = true;
      time.later(backMs, () => begin(member.role, member.place));
    },
    restart(member) {
      if (member.process.dead) return;
      faults.note(`${time.now()} ${member.process.name} drains`);
      const { process } = member;
      const deadline = new AbortController();
      time.later(3_000, () => deadline.abort());
      const downwards = [...member.parts].reverse();
      const isDown = time.as(process, async () => {
        for (const part of downwards) await part.drain(deadline.signal);
        for (const part of downwards) await part.stop();
      });
      const end = (): void => self.crash(member, 100);
      // What does not come down in time is killed.
      void isDown.then(end, end);
      time.later(20_000, end);
    },
    freeze(member, ms) {
      faults.note(`${time.now()} ${member.process.name} freezes`);
      member.process.frozenUntil = time.now() + ms;
    },
  };

  for (const place of [1, 2]) begin("scheduler", place);
  for (const place of [1, 2]) begin("executor", place);
  begin("notifier", 1);
  return self;
}
