import { decideRetry } from "../retry/backoff.ts";
import type { Rules } from "./rules.ts";
import type { Debt, TaskCommon, TerminalState, WebhookEvent } from "./task.ts";

const nothingOwed: readonly Debt[] = [];

/** What an ending owes, written in the same write. */
export function debtsOf(common: TaskCommon, state: TerminalState, now: number, rules: Rules): readonly Debt[] {
  const event: WebhookEvent = `task.${state}`;
  const tellsReceiver = common.webhook?.events.includes(event) === true;
  const tellsParent = common.parent?.awaited === true;
  const endsChildren = common.children === true && state !== "succeeded";
  if (!tellsReceiver && !tellsParent && !endsChildren) return nothingOwed;
  // The effect hands it over at once; `dueAt` is for the case that the effect is lost.
  const due = { dueAt: now + rules.debtMs, failures: 0 };
  const debts: Debt[] = [];
  if (tellsReceiver) debts.push({ kind: "webhook", key: event, event, ...due });
  if (tellsParent) debts.push({ kind: "parent", key: "parent", ...due });
  if (endsChildren) debts.push({ kind: "children", key: "children", ...due });
  return debts;
}

/** A debt that was looked at, or could not be handed over. */
export function postpone(debt: Debt, now: number, rules: Rules): Debt {
  const failures = debt.failures + 1;
  const pause = decideRetry(rules.debt, failures, 0);
  // Never sooner than the first look: a hand-over that is merely slow must not be doubled.
  return { ...debt, failures, dueAt: now + Math.max(rules.debtMs, pause.again ? pause.delayMs : rules.debt.maxMs) };
}
