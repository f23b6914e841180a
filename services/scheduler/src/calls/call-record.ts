/** What a connection allows over all executors; 0 for no bound. */
export interface CallLimits {
  /** Calls side by side. */
  readonly concurrency: number;
  /** Calls begun in any 60 seconds. */
  readonly requestsPerMinute: number;
  /** Tokens, in and out, in any 60 seconds. */
  readonly tokensPerMinute: number;
}

/** A place that is taken. Short, because all of a connection lie in one document. */
export type HeldCall = readonly [
  callId: string,
  taskId: string,
  attempt: number,
  untilMs: number,
  tokens: number,
  second: number,
];

/** What began in one second since 1970. */
type Second = readonly [second: number, calls: number, tokens: number];

/** Who calls by a connection now, and what began in the last minute. Both the earliest first. */
export interface CallRecord {
  readonly held: readonly HeldCall[];
  readonly seconds: readonly Second[];
}

export interface CallAsked {
  readonly callId: string;
  readonly taskId: string;
  readonly attempt: number;
  /** How long the place is kept, in milliseconds. */
  readonly keptMs: number;
  /** Tokens that it will take, as far as known. */
  readonly tokens: number;
}

export type CallLimit = "concurrency" | "requestsPerMinute" | "tokensPerMinute";

export type Admission =
  | { readonly kind: "place"; readonly record: CallRecord }
  | { readonly kind: "delay"; readonly limit: CallLimit; readonly waitMs: number };

export const noCalls: CallRecord = { held: [], seconds: [] };

/** Places in one document; a connection cannot allow more calls side by side. */
export const maxConcurrency = 400;

// The second that is under way counts whole, so that no 60 seconds, wherever they begin, have more than allowed.
const windowSeconds = 61;
/** Nobody can say when a call will end. */
const lookAgainMs = 500;

/** What is still so. */
export function current(record: CallRecord, nowMs: number): CallRecord {
  const oldest = Math.floor(nowMs / 1000) - windowSeconds;
  return {
    held: record.held.filter(([, , , untilMs]) => untilMs > nowMs),
    seconds: record.seconds.filter(([second]) => second > oldest),
  };
}

/** Gives a place where the limits allow it, to a call that has one again the same. `record` is current. */
export function admit(record: CallRecord, asked: CallAsked, limits: CallLimits, nowMs: number): Admission {
  const { held, seconds } = record;
  const id = shortId(asked.callId);
  if (held.some(([callId]) => callId === id)) return { kind: "place", record };
  const { requestsPerMinute, tokensPerMinute } = limits;
  const concurrency = limits.concurrency === 0 ? 0 : Math.min(limits.concurrency, maxConcurrency);
  if (concurrency > 0 && held.length >= concurrency) return { kind: "delay", limit: "concurrency", waitMs: lookAgainMs };
  // A call larger than the limit has to go alone: else it would never go.
  const tokens = tokensPerMinute > 0 ? Math.min(asked.tokens, tokensPerMinute) : asked.tokens;
  const ofCalls = waitFor(seconds, ([, calls]) => calls, requestsPerMinute, 1, nowMs);
  const ofTokens = waitFor(seconds, ([, , taken]) => taken, tokensPerMinute, tokens, nowMs);
  if (ofCalls > 0 && ofCalls >= ofTokens) return { kind: "delay", limit: "requestsPerMinute", waitMs: ofCalls };
  if (ofTokens > 0) return { kind: "delay", limit: "tokensPerMinute", waitMs: ofTokens };
  const second = Math.floor(nowMs / 1000);
  const place: HeldCall = [id, asked.taskId, asked.attempt, nowMs + asked.keptMs, tokens, second];
  // Without a bound on them, places are only there to correct the tokens; the oldest may go.
  const others = held.length < maxConcurrency ? held : held.slice(held.length - maxConcurrency + 1);
  return { kind: "place", record: { held: [...others, place], seconds: counted(seconds, second, 1, tokens) } };
}

/** Frees a place; undefined tokens leave what was estimated. The same record where there is no such place. */
export function giveBack(record: CallRecord, callId: string, tokens: number | undefined, nowMs: number): CallRecord {
  const id = shortId(callId);
  const place = record.held.find((each) => each[0] === id);
  if (place === undefined) return record;
  const held = record.held.filter((each) => each !== place);
  const more = tokens === undefined ? 0 : tokens - place[4];
  // What it took less is free at once, in the second that it was counted in; what it took more is spent now.
  const seconds =
    more > 0
      ? counted(record.seconds, Math.floor(nowMs / 1000), 0, more)
      : record.seconds.map((each) => (each[0] === place[5] ? ([each[0], each[1], Math.max(0, each[2] + more)] as const) : each));
  return { held, seconds };
}

/** What is known of the task of a place: another attempt or none has it, it has ended, or it runs on. */
export type Holder = "gone" | "ended" | "running";

/**
 * Frees places whose attempts no longer run. The executor of a task that has just ended may not know it yet, and is surely told, or on its own,
 * within `leaseMs`: until then its place counts.
 */
export function withoutDead(
  record: CallRecord,
  holderOf: (taskId: string, attempt: number) => Holder,
  nowMs: number,
  leaseMs: number,
): CallRecord {
  let changed = false;
  const held = record.held.flatMap((place) => {
    const [callId, taskId, attempt, untilMs, tokens, second] = place;
    const holder = holderOf(taskId, attempt);
    const lastMs = nowMs + leaseMs;
    if (holder === "running" || (holder === "ended" && untilMs <= lastMs)) return [place];
    changed = true;
    return holder === "gone" ? [] : [[callId, taskId, attempt, lastMs, tokens, second] as const];
  });
  return changed ? { ...record, held } : record;
}

/** Milliseconds until `wanted` more fit below the limit; 0 where they do now. */
function waitFor(
  seconds: readonly Second[],
  of: (second: Second) => number,
  limit: number,
  wanted: number,
  nowMs: number,
): number {
  if (limit === 0) return 0;
  let over = seconds.reduce((sum, each) => sum + of(each), wanted) - limit;
  if (over <= 0) return 0;
  for (const each of seconds) {
    over -= of(each);
    if (over <= 0) return Math.max(1, (each[0] + windowSeconds) * 1000 - nowMs);
  }
  return windowSeconds * 1000;
}

function counted(seconds: readonly Second[], second: number, calls: number, tokens: number): readonly Second[] {
  const last = seconds.at(-1);
  // A clock that was set back counts on in the last second there is.
  if (last !== undefined && last[0] >= second) return [...seconds.slice(0, -1), [last[0], last[1] + calls, last[2] + tokens]];
  return [...seconds, [second, calls, tokens]];
}

function shortId(callId: string): string {
  return callId.replaceAll("-", "").slice(0, 20);
}
