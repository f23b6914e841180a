import type { Json } from "@longhaul/core";
import { durationMs } from "../definition/duration.ts";
import { type KindProblem, NodeFailure } from "./kind.ts";

/** What is wrong with a `timeout` of a `with`, beside what its schema says. */
export function timeoutProblems(timeout: Json | undefined): readonly KindProblem[] {
  if (typeof timeout !== "string" || timeout.includes("${") || !/^[0-9]{1,9}(ms|s|m|h|d)$/.test(timeout)) return [];
  const ms = durationMs(timeout);
  if (ms === undefined)
    return [{ pointer: "/timeout", message: `${timeout} is longer than 366 days`, mend: "Give at most 366d." }];
  if (ms === 0)
    return [{ pointer: "/timeout", message: `${timeout} is no time at all`, mend: "Give at least 1ms, or leave it out." }];
  return [];
}

/** An evaluated `timeout` in milliseconds; undefined where there is none. Throws NodeFailure where it is no duration. */
export function timeoutMs(timeout: Json | undefined): number | undefined {
  if (timeout === undefined || timeout === null) return undefined;
  const ms = typeof timeout === "string" ? durationMs(timeout) : undefined;
  if (ms !== undefined) return ms;
  throw new NodeFailure("invalid_wait", "timeout must be a duration such as 30s, 5m, 2h or 1d, of at most 366d", {
    retryable: false,
    sent: "no",
    details: { pointer: "/with/timeout" },
  });
}
