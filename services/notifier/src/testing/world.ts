import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
// biome-ignore lint/style/noRestrictedImports: the tests use the real SQLite store, and only tests import this file.
import { openSqlite } from "@longhaul/adapters/sqlite";
import {
  type DeliveryStore,
  type Outbound,
  OutboundError,
  type OutboundRequest,
  type OutboundResponse,
  type StoredDelivery,
} from "@longhaul/core";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import type { DeliveryStanding } from "@longhaul/proto/intake_service";
import { IntakeServiceRecordDeliveriesResponseSchema } from "@longhaul/proto/intake_service";
import { DeliveryOrderSchema, NotifierService } from "@longhaul/proto/notifier_service";
import { directClient, projectHeader, secretBox, silentLogger } from "@longhaul/shared";
import type { Clock } from "../clock.ts";
import { type Notifier, type NotifierParts, notifier } from "../notifier.ts";
import { type HandClock, handClock } from "./hand-clock.ts";

export const box = secretBox([new Uint8Array(32).fill(7)]);

export interface Posted {
  readonly time: number;
  readonly url: string;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

type Answer = Partial<OutboundResponse> | OutboundError;

/** An outside world whose answers are given, and a record of what it was sent. */
export function scriptedOutbound(clock: Clock, answer: (posted: Posted, count: number) => Answer | Promise<Answer>) {
  const posted: Posted[] = [];
  const outbound: Outbound = {
    stream: () => Promise.reject(new Error("a notifier reads no stream")),
    async request(request: OutboundRequest) {
      const one: Posted = {
        time: clock.now(),
        url: request.url,
        id: request.headers["webhook-id"] ?? "",
        headers: request.headers,
        body: Buffer.from(request.body ?? "").toString("utf8"),
      };
      posted.push(one);
      const result = await Promise.race([answer(one, posted.length), rejected(request.signal)]);
      if (result instanceof OutboundError) throw result;
      return { status: 200, headers: {}, body: new Uint8Array(), ...result };
    },
  };
  return { outbound, posted };
}

function rejected(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

/** A scheduler that records standings as the real one does. */
export function recordingIntake() {
  const standings: DeliveryStanding[] = [];
  const state = { isAway: false, calls: 0 };
  const intake: NotifierParts["intake"] = {
    recordDeliveries: async (request) => {
      state.calls++;
      if (state.isAway) throw new Error("scheduler away");
      const given = (request.standings ?? []) as DeliveryStanding[];
      standings.push(...given);
      return create(IntakeServiceRecordDeliveriesResponseSchema, { recorded: given.map((one) => one.taskId) });
    },
  };
  return { intake, standings, state };
}

export interface World {
  readonly clock: HandClock;
  readonly store: DeliveryStore;
  readonly notifier: Notifier;
  readonly reports: ReturnType<typeof recordingIntake>;
  readonly deliveries: ReturnType<typeof directClient<typeof DeliveryService>>;
  readonly accept: (orders: readonly ReturnType<typeof order>[]) => Promise<readonly string[]>;
  /** Moves time on, and waits until nothing is under way. */
  pass(ms: number): Promise<void>;
  /** Goes from timer to timer for this long. */
  live(ms: number): Promise<void>;
  stored(id: string): Promise<StoredDelivery>;
  start(): Promise<void>;
  drain(deadline?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

export function world(given: Partial<NotifierParts> & { readonly outbound: Outbound; readonly clock?: HandClock }): World {
  const clock = given.clock ?? handClock();
  const store = given.store ?? memoryStore(clock);
  const reports = recordingIntake();
  const made = notifier({
    store,
    intake: reports.intake,
    box,
    log: silentLogger,
    random: () => 0,
    sweepMs: 3_600_000,
    ...given,
    clock,
  });
  const accepting = directClient(NotifierService, made.services.notifier);
  const self: World = {
    clock,
    store,
    notifier: made,
    reports,
    deliveries: directClient(DeliveryService, made.services.delivery),
    accept: async (orders) => (await accepting.accept({ orders: [...orders] })).accepted,
    async pass(ms) {
      clock.turn(ms);
      await made.idle();
    },
    async live(ms) {
      const end = clock.now() + ms;
      await made.idle();
      for (let next = clock.next(); next !== undefined && next <= end; next = clock.next()) await self.pass(next - clock.now());
      await self.pass(end - clock.now());
    },
    async stored(id) {
      const found = await store.get("acme", id);
      if (!found) throw new Error(`no delivery ${id}`);
      return found;
    },
    async start() {
      for (const part of made.parts) await part.start();
    },
    async drain(deadline = new AbortController().signal) {
      for (const part of [...made.parts].reverse()) await part.drain(deadline);
    },
    async stop() {
      for (const part of [...made.parts].reverse()) await part.stop();
    },
  };
  return self;
}

/** A database in memory whose clock is the one given. */
export function memoryStore(clock: Clock): DeliveryStore {
  return { ...openSqlite({ file: ":memory:" }).deliveries, now: async () => clock.now() };
}

export const acme = { headers: { [projectHeader]: "acme" } };

export interface OrderOptions {
  readonly url?: string;
  readonly body?: string;
  readonly secrets?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly project?: string;
  readonly taskId?: string;
}

export function order(options: OrderOptions = {}) {
  const {
    url = "https://receiver.example/hook",
    body = '{"type":"task.succeeded"}',
    project = "acme",
    taskId = randomUUID(),
  } = options;
  const event = "task.succeeded";
  return create(DeliveryOrderSchema, {
    id: `${taskId}.${event}`,
    project,
    taskId,
    event,
    url,
    sealedSecrets: (options.secrets ?? []).map((secret) => box.seal(secret)),
    sealedHeaders: Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name, box.seal(value)])),
    body: Buffer.from(body),
  });
}
