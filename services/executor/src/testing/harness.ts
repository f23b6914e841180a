import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type {
  Json,
  Live,
  LonghaulError,
  Outbound,
  OutboundRequest,
  OutboundResponse,
  Ticket,
  TicketInlet,
  TicketVerdict,
} from "@longhaul/core";
import {
  type ClaimedTask,
  ClaimedTaskSchema,
  ClaimResultSchema,
  ExecutionService,
  ExecutionServiceClaimResponseSchema,
  ExecutionServiceHeartbeatResponseSchema,
  ExecutionServiceReadDefinitionResponseSchema,
  ExecutionServiceReadPayloadResponseSchema,
  ExecutionServiceReleaseResponseSchema,
  ExecutionServiceReportResponseSchema,
  HoldResultSchema,
  type TaskReport,
  Verdict,
} from "@longhaul/proto/execution_service";
import { directClient, silentLogger } from "@longhaul/shared";
import { type Executor, type ExecutorParts, executor } from "../executor.ts";

const http = (id: string, needs: readonly string[] = []): Json => ({
  id,
  kind: "http",
  needs: [...needs],
  with: { url: `https://work.test/${id}` },
  timeout: "1h",
});
const transform = (id: string, value: Json, needs: readonly string[] = []): Json => ({
  id,
  kind: "transform",
  needs: [...needs],
  with: { value },
});

/** Definitions by name. */
export const definitions: Readonly<Record<string, Json>> = {
  echo: { name: "echo", nodes: [transform("a", "${ input }")], output: "${ nodes.a.value }" },
  call: { name: "call", nodes: [http("a")], output: { status: "${ nodes.a.status }" } },
  calls: { name: "calls", nodes: [http("a"), transform("b", 1, ["a"]), http("c", ["b"])], output: "${ nodes.c.status }" },
  broken: { name: "broken", nodes: [] },
};

export const leaseMs = 15_000;

/** A call to the outside that a test answers. */
export interface Waiting {
  readonly request: OutboundRequest;
  answer(body?: Json): void;
}

/** An executor with a scheduler, a broker and an outside world that a test plays by hand. */
export interface Harness {
  readonly client: ExecutorParts["client"];
  readonly runner: Executor;
  /** Gives tickets as a broker does; resolves with the verdicts. */
  give(...tickets: readonly Ticket[]): Promise<readonly TicketVerdict[]>;
  /** Tickets granted and not given yet. */
  credit(): number;
  readonly calls: Waiting[];
  readonly reports: TaskReport[];
  readonly sent: {
    claims: number;
    heartbeats: string[];
    releases: string[];
    definitions: number;
    payloads: string[];
    order: string[];
  };
  /** What the scheduler answers; a rejection where it throws. */
  answers: {
    claim: (taskId: string, attempt: number) => ClaimedTask | undefined;
    report: (report: TaskReport) => Verdict | Promise<Verdict>;
    heartbeat: (taskId: string) => Verdict | Promise<Verdict>;
    definition: (name: string) => Json | Promise<Json>;
    payload: (key: string) => Json;
  };
  /** Publishes on the executor's own subject. */
  revoke(message: Json): void;
}

/** A ticket of the first attempt. */
export const ticket = (taskId: string, more: Partial<Ticket> = {}): Ticket => ({
  project: "acme",
  taskId,
  attempt: 0,
  alone: false,
  ...more,
});

/** A claimed task; its workflow is the part of its id before the dash. */
export function claimed(taskId: string, attempt: number, more: MessageInitShape<typeof ClaimedTaskSchema> = {}): ClaimedTask {
  const base: MessageInitShape<typeof ClaimedTaskSchema> = {
    taskId,
    attempt,
    project: "acme",
    workflow: taskId.replace(/-.*/, ""),
    revision: 1,
    input: { value: { case: "json", value: Buffer.from('"hello"') } },
    lease: durationFromMs(leaseMs),
    deadline: timestampFromMs(Date.now() + 86_400_000),
    createTime: timestampFromMs(Date.now()),
  };
  return create(ClaimedTaskSchema, Object.assign(base, more));
}

export function harness(more: Partial<ExecutorParts> = {}): Harness {
  let take: Parameters<TicketInlet["consume"]>[0] | undefined;
  let credit = 0;
  let isStopped = false;
  const underWay = new Set<Promise<unknown>>();
  let onRevoke: (message: Json) => void = () => {};
  const calls: Waiting[] = [];
  const reports: TaskReport[] = [];
  const sent: Harness["sent"] = { claims: 0, heartbeats: [], releases: [], definitions: 0, payloads: [], order: [] };

  const client = directClient(ExecutionService, {
    claim: async ({ tickets }) => {
      sent.claims += tickets.length;
      const results = tickets.map(({ taskId, attempt }) => {
        const task = self.answers.claim(taskId, attempt + 1);
        return create(ClaimResultSchema, { taskId, ...(task && { claimed: task }) });
      });
      return create(ExecutionServiceClaimResponseSchema, { results });
    },
    report: async ({ reports: given }) => {
      reports.push(...given);
      sent.order.push(...given.map(({ taskId, number }) => `report ${taskId} ${number}`));
      const verdicts = await Promise.all(given.map((one) => self.answers.report(one)));
      const results = given.map(({ taskId }, i) => create(HoldResultSchema, { taskId, verdict: verdicts[i] ?? Verdict.LOST }));
      sent.order.push(...given.map(({ taskId, number }) => `stored ${taskId} ${number}`));
      return create(ExecutionServiceReportResponseSchema, { results });
    },
    heartbeat: async ({ holds }) => {
      sent.heartbeats.push(...holds.map(({ taskId }) => taskId));
      const verdicts = await Promise.all(holds.map(({ taskId }) => self.answers.heartbeat(taskId)));
      const results = holds.map(({ taskId }, i) => create(HoldResultSchema, { taskId, verdict: verdicts[i] ?? Verdict.LOST }));
      return create(ExecutionServiceHeartbeatResponseSchema, { results });
    },
    release: async ({ holds }) => {
      sent.releases.push(...holds.map(({ taskId }) => taskId));
      sent.order.push(...holds.map(({ taskId }) => `release ${taskId}`));
      return create(ExecutionServiceReleaseResponseSchema);
    },
    readDefinition: async ({ workflow }) => {
      sent.definitions++;
      return create(ExecutionServiceReadDefinitionResponseSchema, {
        definitionJson: Buffer.from(JSON.stringify(await self.answers.definition(workflow))),
      });
    },
    readPayload: async ({ key }) => {
      sent.payloads.push(key);
      return create(ExecutionServiceReadPayloadResponseSchema, { json: Buffer.from(JSON.stringify(self.answers.payload(key))) });
    },
  });
  const inlet: TicketInlet = {
    consume(given) {
      take = given;
      return {
        grant: (count) => {
          if (!isStopped) credit += count;
        },
        stop: async () => {
          isStopped = true;
          credit = 0;
          await Promise.all(underWay);
        },
      };
    },
  };
  const live: Live = {
    publish: () => {},
    subscribe(_subject, onMessage) {
      onRevoke = onMessage;
      return { ready: Promise.resolve(), close: () => {} };
    },
    onGap: () => () => {},
  };
  const outbound: Outbound = {
    stream: () => Promise.reject(new Error("nobody streams here")),
    request: (request) =>
      new Promise<OutboundResponse>((resolve, reject) => {
        request.signal?.addEventListener("abort", () => reject(request.signal?.reason), { once: true });
        calls.push({
          request,
          answer: (body = null) =>
            resolve({ status: 200, headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(body)) }),
        });
      }),
  };

  const self: Harness = {
    client,
    runner: executor({
      client,
      inlet,
      live,
      outbound,
      log: silentLogger,
      name: "executor-1",
      concurrency: 4,
      maxValueBytes: 1_048_576,
      ...more,
    }),
    give(...tickets) {
      if (take === undefined) throw new Error("not started");
      credit -= tickets.length;
      const answered = take(tickets).finally(() => underWay.delete(answered));
      underWay.add(answered);
      return answered;
    },
    credit: () => credit,
    calls,
    reports,
    sent,
    answers: {
      claim: (taskId, attempt) => claimed(taskId, attempt),
      report: () => Verdict.CONTINUE,
      heartbeat: () => Verdict.CONTINUE,
      definition: (name) => definitions[name] ?? null,
      payload: () => null,
    },
    revoke: (message) => onRevoke(message),
  };
  return self;
}

/** Throws in place of an answer. */
export function fail(why: LonghaulError): never {
  throw why;
}

/** A few turns of the event loop: what is under way settles. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
}
