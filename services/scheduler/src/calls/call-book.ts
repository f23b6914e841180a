import { randomUUID } from "node:crypto";
import {
  isEnded,
  LonghaulError,
  partitionOf,
  type Resource,
  type ResourceStore,
  type StoredResource,
  type TaskStore,
} from "@longhaul/core";
import { connectionKey, connectionOf, noConnection } from "../connections/connection-record.ts";
import {
  admit,
  type CallAsked,
  type CallLimit,
  type CallLimits,
  type CallRecord,
  current,
  giveBack,
  type Holder,
  noCalls,
  withoutDead,
} from "./call-record.ts";

export type CallAnswer =
  | { readonly kind: "place"; readonly leaseMs: number }
  | { readonly kind: "delay"; readonly waitMs: number; readonly reason: string };

/** Who calls by which connection. Every change is a compare-and-set; nothing that counts is kept in memory. */
export interface CallBook {
  /** Rejects with `not_found` where the project has no such connection. */
  acquire(project: string, connection: string, asked: Omit<CallAsked, "keptMs">): Promise<CallAnswer>;
  /** Gives a place back; a repeat does nothing. */
  release(project: string, connection: string, callId: string, tokens: number | undefined): Promise<void>;
}

export interface CallBookDeps {
  readonly resources: Pick<ResourceStore, "get" | "insert" | "replace">;
  readonly store: Pick<TaskStore, "get">;
  readonly now: () => number;
  /** Lease of a task: how long an executor may go on that was told nothing. */
  readonly leaseMs: number;
}

/** Each round means that another scheduler got on. */
const maxRounds = 64;
/** A place outlives the longest call by this, for the ways there and back and for clocks that do not run alike. */
const leaseMarginMs = 5_000;
const keptMarginMs = 5_000;
/** How often those who hold the places are looked at while others wait. */
const lookMs = 1_000;

interface State {
  readonly limits: CallLimits | undefined;
  readonly timeoutMs: number;
  record: CallRecord;
}
interface Change {
  apply(state: State, nowMs: number): void;
  resolve(): void;
  reject(why: unknown): void;
}

export function callBook({ resources, store, now, leaseMs }: CallBookDeps): CallBook {
  // What comes while a write is under way goes out with the next: one document is written by many.
  const waiting = new Map<string, Change[]>();
  const lookedAt = new Map<string, number>();

  function change(project: string, connection: string, apply: Change["apply"]): Promise<void> {
    return new Promise((resolve, reject) => {
      const key = `${project}/${connection}`;
      const known = waiting.get(key);
      const one = { apply, resolve, reject };
      if (known !== undefined) {
        known.push(one);
        return;
      }
      waiting.set(key, [one]);
      void work(project, connection, key);
    });
  }

  async function work(project: string, connection: string, key: string): Promise<void> {
    for (;;) {
      const changes = waiting.get(key) ?? [];
      if (changes.length === 0) break;
      waiting.set(key, []);
      try {
        await write(project, connection, changes);
        for (const one of changes) one.resolve();
      } catch (why) {
        for (const one of changes) one.reject(why);
      }
    }
    waiting.delete(key);
  }

  async function write(project: string, connection: string, changes: readonly Change[]): Promise<void> {
    const key = { project, kind: "usage", name: connection } as const;
    for (let round = 0; round < maxRounds; round++) {
      const [held, spec] = await resources.get([key, connectionKey(project, connection)]);
      const nowMs = now();
      const stored = held === undefined ? noCalls : recordOf(held);
      const state: State = { ...limitsOf(spec), record: current(stored, nowMs) };
      const before = state.record;
      if (isFull(state)) state.record = await withoutDeadOf(`${project}/${connection}`, project, before, nowMs);
      for (const { apply } of changes) apply(state, nowMs);
      if (state.record === before) return;
      const next: Resource = {
        ...key,
        partition: partitionOf(project),
        uid: held?.resource.uid ?? randomUUID(),
        createTime: held?.resource.createTime ?? nowMs,
        updateTime: nowMs,
        json: JSON.stringify(state.record),
      };
      const isWritten =
        held === undefined
          ? (await resources.insert(next)) === "inserted"
          : (await resources.replace(next, held.rev)) === "replaced";
      if (isWritten) return;
    }
    throw new LonghaulError("unavailable", `The calls of connection "${connection}" keep changing; try again.`);
  }

  async function withoutDeadOf(key: string, project: string, record: CallRecord, nowMs: number): Promise<CallRecord> {
    if (nowMs - (lookedAt.get(key) ?? Number.NEGATIVE_INFINITY) < lookMs) return record;
    lookedAt.set(key, nowMs);
    const ids = [...new Set(record.held.map(([, taskId]) => taskId))];
    const tasks = await store.get(ids.map((id) => ({ project, id })));
    const byId = new Map(ids.map((id, at) => [id, tasks[at]?.task]));
    const holderOf = (taskId: string, attempt: number): Holder => {
      const task = byId.get(taskId);
      if (task === undefined) return "gone";
      if (task.state === "running" && task.attempt === attempt) return "running";
      return isEnded(task) ? "ended" : "gone";
    };
    return withoutDead(record, holderOf, nowMs, leaseMs);
  }

  return {
    async acquire(project, connection, asked) {
      let answer: CallAnswer | undefined;
      await change(project, connection, (state, nowMs) => {
        const { limits, timeoutMs, record } = state;
        answer = undefined;
        if (limits === undefined) return;
        const given = { ...asked, keptMs: timeoutMs + leaseMarginMs + keptMarginMs };
        const admission = admit(record, given, limits, nowMs);
        if (admission.kind === "place") {
          state.record = admission.record;
          answer = { kind: "place", leaseMs: timeoutMs + leaseMarginMs };
        } else answer = { kind: "delay", waitMs: admission.waitMs, reason: reasonOf(connection, admission.limit, limits) };
      });
      if (answer === undefined) throw noConnection(connection);
      return answer;
    },
    release: (project, connection, callId, tokens) =>
      change(project, connection, (state, nowMs) => {
        state.record = giveBack(state.record, callId, tokens, nowMs);
      }),
  };
}

function isFull({ limits, record }: State): boolean {
  return limits !== undefined && limits.concurrency > 0 && record.held.length >= limits.concurrency;
}

function limitsOf(spec: StoredResource | undefined): Pick<State, "limits" | "timeoutMs"> {
  if (spec === undefined) return { limits: undefined, timeoutMs: 0 };
  const { timeoutMs, concurrency, requestsPerMinute, tokensPerMinute } = connectionOf(spec.resource);
  return { limits: { concurrency, requestsPerMinute, tokensPerMinute }, timeoutMs };
}

function recordOf({ resource }: StoredResource): CallRecord {
  // Written by `write` and nobody else.
  const record: CallRecord = JSON.parse(resource.json);
  return record;
}

function reasonOf(connection: string, limit: CallLimit, limits: CallLimits): string {
  const most = limits[limit];
  switch (limit) {
    case "concurrency":
      return `connection "${connection}" allows ${most} ${most === 1 ? "call" : "calls"} at a time`;
    case "requestsPerMinute":
      return `connection "${connection}" allows ${most} ${most === 1 ? "call" : "calls"} per minute`;
    case "tokensPerMinute":
      return `connection "${connection}" allows ${most} tokens per minute`;
  }
}
