import { unreachable } from "../errors.ts";
import type { Failure } from "../failure.ts";
import { decideRetry } from "../retry/backoff.ts";
import { debtsOf, postpone } from "./debts.ts";
import type { Decision, Effect, Refusal, ReportOutcome, TaskEvent } from "./events.ts";
import type { Rules } from "./rules.ts";
import { lookForSlots, pass, withSlots } from "./slots.ts";
import {
  type Arrival,
  commonOf,
  type DebtKey,
  type EndedTask,
  isEnded,
  type LiveTask,
  maxInbox,
  maxWaits,
  type Payload,
  type QueuedTask,
  type Queueing,
  type RunningTask,
  type Spent,
  type Task,
  type TaskCommon,
  type WaitingFor,
} from "./task.ts";
import { wakeAt } from "./wake.ts";

/**
 * The one place that decides what may happen to a task. Pure: the same task, event, time and rules give the same decision.
 * `now` is milliseconds since the epoch.
 */
export function transition(task: Task, event: TaskEvent, now: number, rules: Rules): Decision {
  const decision = decide(task, event, now, rules);
  return task.limitKeys === undefined || !decision.ok ? decision : withSlots(task, event, decision, now, rules);
}

function decide(task: Task, event: TaskEvent, now: number, rules: Rules): Decision {
  switch (event.kind) {
    case "ticket":
      return ticket(task, now, rules);
    case "grant":
      return grant(task, event, now, rules);
    case "pass":
      return pass(task, event, now, rules);
    case "claim":
      return claim(task, event, now, rules);
    case "report":
      return report(task, event, now, rules);
    case "arrive":
      return arrive(task, event, now);
    case "child":
      return child(task, event);
    case "heartbeat":
      return heartbeat(task, event, now, rules);
    case "release":
      return release(task, event, now);
    case "cancel":
      return cancel(task, event.reason, now, rules);
    case "wake":
      return wake(task, event.room, now, rules);
    case "orphan":
      return task.state === "running" ? loseLease(task, event.room, now, rules) : refuse("nothing-due");
    case "settle":
      return settle(task, event.key);
    case "defer":
      return defer(task, event.key, now, rules);
    case "delivery":
      return moveDelivery(task, event);
    default:
      return unreachable(event);
  }
}

type Accepted = Extract<Decision, { ok: true }>;
type Of<K extends TaskEvent["kind"]> = Extract<TaskEvent, { kind: K }>;

function refuse(why: Refusal): Decision {
  return { ok: false, why };
}

function accept(next: Task, ...effects: Effect[]): Accepted {
  return { ok: true, next, effects };
}

function ticketOf(task: TaskCommon): Effect {
  return { kind: "ticket", project: task.project, taskId: task.id, attempt: task.attempt, alone: task.alone };
}

function ticketed(now: number, looks: number, rules: Rules): Queueing {
  return { kind: "ticketed", until: now + Math.min(rules.ticketMaxMs, rules.ticketMs * 2 ** looks), looks };
}

// In the two below what is new comes first and the spread last: the other way round V8 takes a microsecond for each property it adds.

function queuedTask(common: TaskCommon, queueing: Queueing, since: number): QueuedTask {
  return { state: "queued", queueing, since, ...common };
}

function runningTask(common: TaskCommon, startTime: number, executor: string, leaseUntil: number): RunningTask {
  return { state: "running", executor, leaseUntil, startTime, ...common };
}

function ticket(task: Task, now: number, rules: Rules): Decision {
  if (isEnded(task)) return refuse("ended");
  if (task.state !== "queued" || task.queueing.kind !== "backlog") return refuse("nothing-due");
  const next: QueuedTask = { ...task, version: task.version + 1, queueing: ticketed(now, 0, rules) };
  return accept(next, ticketOf(task));
}

function grant(task: Task, { hold, room }: Of<"grant">, now: number, rules: Rules): Decision {
  if (isEnded(task)) return refuse("ended");
  if (task.state !== "queued" || task.queueing.kind !== "limited" || task.hold !== hold) return refuse("nothing-due");
  return requeue(commonOf(task), room, now, rules, task.since);
}

function claim(task: Task, event: Of<"claim">, now: number, rules: Rules): Decision {
  // The answer to this very claim was lost and its executor asks again: it holds the task already.
  if (task.state === "running" && task.executor === event.executor && task.attempt === event.attempt + 1 && task.report === 0) {
    return accept({ ...task, leaseUntil: now + rules.leaseMs });
  }
  // A task in the backlog is claimed as well as a ticketed one: an old ticket of the same attempt is as good as a new one.
  const { kind } = task.state === "queued" ? task.queueing : { kind: "none" };
  if ((kind !== "backlog" && kind !== "ticketed") || event.attempt !== task.attempt) return refuse("stale-ticket");
  // Past its deadline it only waits for the sweeper; past its tries it was ended already.
  if (now >= task.deadline || task.tries >= rules.maxTries) return refuse("stale-ticket");
  const common: TaskCommon = {
    ...commonOf(task),
    version: task.version + 1,
    attempt: task.attempt + 1,
    tries: task.tries + 1,
    report: 0,
  };
  return accept(runningTask(common, task.startTime ?? now, event.executor, now + rules.leaseMs));
}

/** The running task that `event` may act on, or why it may not. */
function held(task: Task, event: { readonly executor: string; readonly attempt: number }): RunningTask | Refusal {
  if (task.attempt === event.attempt && (task.state === "cancelled" || task.state === "timed_out")) return "stopped";
  if (isEnded(task)) return "ended";
  if (task.state !== "running" || task.attempt !== event.attempt || task.executor !== event.executor) return "not-holder";
  return task;
}

function report(task: Task, event: Of<"report">, now: number, rules: Rules): Decision {
  // The answer to an earlier sending was lost: say again that it is done, whatever the task has become since.
  if (task.attempt === event.attempt && event.number <= task.report) return refuse("applied");
  const running = held(task, event);
  if (typeof running === "string") return refuse(running);
  // An executor keeps one report under way: a gap means that one got lost between two processes of the same name.
  if (event.number !== running.report + 1) return refuse("not-holder");
  const common: TaskCommon = {
    ...commonOf(running),
    report: event.number,
    tries: event.results > 0 ? 0 : running.tries,
    alone: event.results > 0 ? false : running.alone,
  };
  return goOn(running, withReported(common, event), event.outcome, now, rules);
}

/** What was spent and consumed; most reports of most tasks say neither. */
function withReported(common: TaskCommon, { consumed, spent }: Of<"report">): TaskCommon {
  const counted = spent === undefined ? common : { ...common, spent: sum(common.spent, spent) };
  if (consumed === undefined || consumed.length === 0 || counted.inbox === undefined) return counted;
  const { inbox, ...rest } = counted;
  const left = inbox.filter(({ seq }) => !consumed.includes(seq));
  return left.length === 0 ? rest : { inbox: left, ...rest };
}

function sum(before: Spent | undefined, more: Spent): Spent {
  if (before === undefined) return more;
  return {
    tokens: before.tokens + more.tokens,
    calls: before.calls + more.calls,
    nodeRuns: before.nodeRuns + more.nodeRuns,
    runMs: before.runMs + more.runMs,
  };
}

function goOn(running: RunningTask, common: TaskCommon, outcome: ReportOutcome, now: number, rules: Rules): Decision {
  const version = common.version + 1;
  switch (outcome.kind) {
    case "progress":
      return accept({ state: "running", executor: running.executor, leaseUntil: now + rules.leaseMs, ...common });
    case "succeeded":
      return end(common, { state: "succeeded", output: outcome.output }, now, rules);
    case "failed":
      return end(common, { state: "failed", error: outcome.error }, now, rules);
    case "backoff": {
      const queueing: Queueing = { kind: "delayed", why: "retry", until: now + outcome.delayMs, node: outcome.node };
      return accept(queuedTask({ ...common, version, tries: 0, alone: false }, queueing, now));
    }
    case "wait":
      return wait(common, outcome, now);
    default:
      return unreachable(outcome);
  }
}

/** A task goes to sleep only over what its executor has seen: what came meanwhile, or is due by now, brings it back at once. */
function wait(common: TaskCommon, outcome: Extract<ReportOutcome, { kind: "wait" }>, now: number): Accepted {
  const waits = [...outcome.waits].sort((a, b) => untilOf(a) - untilOf(b)).slice(0, maxWaits);
  const hasNews = common.inbox?.some(({ seq }) => seq > outcome.seen);
  if (hasNews === true || (waits[0] !== undefined && untilOf(waits[0]) <= now)) return toBacklog(common, now);
  const waitCount = Math.max(outcome.waitCount, waits.length);
  return accept({ state: "waiting", waits, waitCount, ...common, version: common.version + 1 });
}

function untilOf({ until }: WaitingFor): number {
  return until ?? Number.POSITIVE_INFINITY;
}

/** Lines up for its next attempt without prejudice: neither waiting nor handing back costs a try. */
function toBacklog(common: TaskCommon, now: number): Accepted {
  const next: TaskCommon = { ...common, version: common.version + 1, tries: 0, alone: false };
  return accept(queuedTask(next, { kind: "backlog" }, now), { kind: "refill", partition: common.partition });
}

function arrive(task: Task, event: Of<"arrive">, now: number): Decision {
  if (isEnded(task)) return refuse("ended");
  const { inbox = [] } = task;
  const { node, by, payload, error } = event;
  if (event.once && inbox.some((other) => other.node === node)) return refuse("arrived");
  if (inbox.length >= maxInbox) return refuse("inbox-full");
  const arrival: Arrival = {
    seq: (task.arrivals ?? 0) + 1,
    node,
    at: now,
    by,
    ...(payload === undefined ? {} : { payload }),
    ...(error === undefined ? {} : { error }),
  };
  const kept = { inbox: [...inbox, arrival], arrivals: arrival.seq };
  // Not every waiting node may be listed: then only the executor knows whether this one waits.
  if (task.state === "waiting" && (task.waitCount > task.waits.length || task.waits.some((one) => one.node === node)))
    return toBacklog({ ...commonOf(task), ...kept }, now);
  const next: LiveTask = { ...task, ...kept, version: task.version + 1 };
  if (task.state !== "running") return accept(next);
  return accept(next, { kind: "arrival", executor: task.executor, taskId: task.id, attempt: task.attempt });
}

function child(task: Task, event: Of<"child">): Decision {
  const running = held(task, event);
  if (typeof running === "string") return refuse(running);
  // Written before the task is made: whoever ends this one looks for those that it started.
  return running.children === true ? refuse("applied") : accept({ children: true, ...running });
}

function heartbeat(task: Task, event: Of<"heartbeat">, now: number, rules: Rules): Decision {
  const running = held(task, event);
  if (typeof running === "string") return refuse(running);
  return accept({ ...running, leaseUntil: now + rules.leaseMs });
}

function release(task: Task, event: Of<"release">, now: number): Decision {
  const running = held(task, event);
  if (typeof running === "string") return refuse(running);
  return toBacklog(commonOf(running), now);
}

function cancel(task: Task, reason: string, now: number, rules: Rules): Decision {
  if (isEnded(task)) return refuse("ended");
  const error: Failure = { code: "cancelled", message: reason === "" ? "The task was cancelled." : reason, retryable: true };
  return stop(task, "cancelled", error, now, rules);
}

function wake(task: Task, room: boolean, now: number, rules: Rules): Decision {
  const due = wakeAt(task);
  if (due === undefined || due > now) return refuse("nothing-due");
  if (isEnded(task) || (task.deadline > now && task.owes.some((debt) => debt.dueAt <= now))) {
    // A look leaves a trace even if the hand-over that follows is lost with this process.
    const looked = task.owes.map((debt) => (debt.dueAt <= now ? postpone(debt, now, rules) : debt));
    const effects = task.owes.filter((debt) => debt.dueAt <= now).map((debt): Effect => ({ kind: "hand-over", debt }));
    return accept({ ...task, owes: looked }, ...effects);
  }
  if (task.deadline <= now) {
    const error: Failure = { code: "deadline_exceeded", message: "The task did not end before its deadline.", retryable: true };
    return stop(task, "timed_out", error, now, rules);
  }
  switch (task.state) {
    case "queued":
      // Only a bound that was lowered meanwhile leaves a task that nobody may claim.
      if (task.tries >= rules.maxTries) return exhaust(task, now, rules);
      if (task.queueing.kind === "ticketed") {
        const next: QueuedTask = { ...task, queueing: ticketed(now, task.queueing.looks + 1, rules) };
        return accept(next, ticketOf(task));
      }
      if (task.queueing.kind === "limited") return lookForSlots(task, task.queueing, now, rules);
      return requeue(commonOf(task), room, now, rules, task.since);
    case "waiting":
      return requeue({ ...commonOf(task), tries: 0, alone: false }, room, now, rules, now);
    case "running":
      return loseLease(task, room, now, rules);
  }
}

/** Back to where tickets come from: at once when there is room, else by way of the backlog. */
function requeue(common: TaskCommon, room: boolean, now: number, rules: Rules, since: number): Accepted {
  const version = common.version + 1;
  if (!room) {
    return accept(queuedTask({ ...common, version }, { kind: "backlog" }, since), {
      kind: "refill",
      partition: common.partition,
    });
  }
  return accept(queuedTask({ ...common, version }, ticketed(now, 0, rules), since), ticketOf(common));
}

function loseLease(task: RunningTask, room: boolean, now: number, rules: Rules): Decision {
  const revoke: Effect = { kind: "revoke", executor: task.executor, taskId: task.id, attempt: task.attempt };
  if (task.tries >= rules.maxTries) {
    const ended = exhaust(task, now, rules);
    return { ...ended, effects: [...ended.effects, revoke] };
  }
  const common: TaskCommon = { ...commonOf(task), alone: true };
  const pause = task.tries > 1 ? decideRetry(rules.lost, task.tries - 1, 0) : undefined;
  if (pause?.again === true) {
    const queueing: Queueing = { kind: "delayed", why: "retry", until: now + pause.delayMs };
    return accept(queuedTask({ ...common, version: task.version + 1 }, queueing, now), revoke);
  }
  const next = requeue(common, room, now, rules, now);
  return { ...next, effects: [...next.effects, revoke] };
}

function exhaust(task: LiveTask, now: number, rules: Rules): Accepted {
  const error: Failure = {
    code: "tries_exhausted",
    message: `${task.tries} executors in a row were lost while they held the task and stored no result.`,
    retryable: true,
  };
  return end(commonOf(task), { state: "failed", error }, now, rules);
}

type Ending =
  | { readonly state: "succeeded"; readonly output: Payload }
  | { readonly state: "failed" | "cancelled" | "timed_out"; readonly error: Failure };

/** The only way into a terminal state: what the ending owes is written together with it. */
function end(common: TaskCommon, ending: Ending, now: number, rules: Rules): Accepted {
  const owes = debtsOf(common, ending.state, now, rules);
  const final: TaskCommon = { ...withoutInbox(common), version: common.version + 1, owes };
  // The webhook comes first where there is one.
  const next: EndedTask =
    owes[0]?.kind === "webhook"
      ? { endTime: now, ...ending, ...final, delivery: { state: "pending", sequence: 0 } }
      : { endTime: now, ...ending, ...final };
  return { ok: true, next, effects: owes.map((debt) => ({ kind: "hand-over", debt })) };
}

/** What has arrived is of no use any more once nothing runs. */
function withoutInbox(common: TaskCommon): TaskCommon {
  if (common.inbox === undefined) return common;
  const { inbox: _, ...rest } = common;
  return rest;
}

function stop(task: LiveTask, state: "cancelled" | "timed_out", error: Failure, now: number, rules: Rules): Decision {
  const ended = end(commonOf(task), { state, error }, now, rules);
  if (task.state !== "running") return ended;
  const revoke: Effect = { kind: "revoke", executor: task.executor, taskId: task.id, attempt: task.attempt };
  return { ...ended, effects: [...ended.effects, revoke] };
}

function settle(task: Task, key: DebtKey): Decision {
  const owes = task.owes.filter((debt) => debt.key !== key);
  if (owes.length === task.owes.length) return refuse("nothing-due");
  return accept({ ...task, owes });
}

function defer(task: Task, key: DebtKey, now: number, rules: Rules): Decision {
  if (!task.owes.some((debt) => debt.key === key)) return refuse("nothing-due");
  return accept({ ...task, owes: task.owes.map((debt) => (debt.key === key ? postpone(debt, now, rules) : debt)) });
}

function moveDelivery(task: Task, event: Of<"delivery">): Decision {
  if (!isEnded(task) || task.delivery === undefined || `task.${task.state}` !== event.event) return refuse("nothing-due");
  if (event.sequence <= task.delivery.sequence) return refuse("applied");
  const delivery = { state: event.state, sequence: event.sequence };
  const version = task.delivery.state === event.state ? task.version : task.version + 1;
  // A delivery that reports was taken over: that confirms the hand-over too.
  return accept({ ...task, version, delivery, owes: task.owes.filter((debt) => debt.key !== event.event) });
}
