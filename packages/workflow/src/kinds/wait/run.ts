import type { Json } from "@longhaul/core";
import { durationMs, longestMs } from "../../definition/duration.ts";
import type { JsonObject } from "../../expression/cel-value.ts";
import { objectOf } from "../../expression/json-object.ts";
import { type KindProblem, type NodeContext, NodeFailure, type NodeKind, type NodeResult, Suspension } from "../kind.ts";
import { waitSchema } from "./schema.ts";

/** Waits for some time, or until a time. */
export const waitKind: NodeKind = {
  name: "wait",
  description: "Waits for some time or until a time, and holds nothing meanwhile; its output is {}.",
  schema: waitSchema,
  needsWith: true,
  effects: false,
  inline: true,
  defaultTimeoutMs: Number.POSITIVE_INFINITY,
  supportsAsync: true,
  triable: false,
  check,
  run,
  resume: () => ({}),
};

function check(input: Json): readonly KindProblem[] {
  const { for: span, until } = objectOf(input);
  if ((span === undefined) !== (until === undefined)) return [];
  return [{ pointer: "", message: "a wait needs exactly one of for and until", mend: 'Write for: "10m", or until with a time.' }];
}

function run({ input, now }: NodeContext): NodeResult {
  const nowMs = now();
  const untilMs = endOf(objectOf(input), nowMs);
  if (untilMs > nowMs + longestMs) throw wrong("it would wait longer than 366 days", "");
  if (untilMs <= nowMs) return {};
  return new Suspension({ kind: "timer", reason: `It waits until ${new Date(untilMs).toISOString()}.`, untilMs });
}

function endOf({ for: span, until }: JsonObject, nowMs: number): number {
  if (span !== undefined) {
    const ms = typeof span === "string" ? spanMs(span) : undefined;
    if (ms === undefined) throw wrong(`for must be a duration such as 30s, 5m, 2h or 1d`, "/for");
    return nowMs + ms;
  }
  const atMs = typeof until === "string" && /^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]/.test(until) ? Date.parse(until) : Number.NaN;
  if (!Number.isFinite(atMs)) throw wrong("until must be a time such as 2026-11-30T08:00:00Z", "/until");
  return atMs;
}

/** Expressions say durations in seconds with a fraction. */
function spanMs(text: string): number | undefined {
  const [, seconds] = /^([0-9]{1,9}\.[0-9]{1,9})s$/.exec(text) ?? [];
  return seconds === undefined ? durationMs(text) : Math.ceil(Number(seconds) * 1000);
}

function wrong(message: string, pointer: string): NodeFailure {
  return new NodeFailure("invalid_wait", message, { retryable: false, sent: "no", details: { pointer: `/with${pointer}` } });
}
