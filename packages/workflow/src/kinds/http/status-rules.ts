import type { Json } from "@longhaul/core";
import { pointerTo } from "../../expression/pointer.ts";
import { isGiven, nameOf } from "./field-values.ts";
import { RequestFault } from "./request-fault.ts";

/** What a status means for the node. */
export interface StatusRules {
  accepts(status: number): boolean;
  /** For a status that is not accepted: whether the same call may do better later. */
  retries(status: number): boolean;
}

/** Rules of `acceptStatus` and `retryStatus`. A status in `retryStatus` never succeeds; with `only2xx` no other does either. Throws RequestFault. */
export function statusRules(acceptStatus: Json | undefined, retryStatus: Json | undefined, only2xx = false): StatusRules {
  const accepted = statusTest("/acceptStatus", acceptStatus);
  const retried = statusTest("/retryStatus", retryStatus);
  return {
    accepts: (status) =>
      !(only2xx && Math.floor(status / 100) !== 2) && !retried?.(status) && (accepted?.(status) ?? !mayPass(status)),
    retries: retried ?? mayPass,
  };
}

function mayPass(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function statusTest(pointer: string, value: Json | undefined): ((status: number) => boolean) | undefined {
  if (!isGiven(value)) return undefined;
  const mend = 'Give a list such as [200, 404] or ["2xx"].';
  if (!Array.isArray(value)) throw new RequestFault(pointer, `${nameOf(pointer)} must be a list of statuses`, mend);
  const listed = new Set(
    (value as readonly Json[]).map((item, index) => {
      const text = String(item);
      if (/^[1-5](\d\d|xx)$/.test(text)) return text;
      throw new RequestFault(
        pointerTo(pointer, index),
        `${nameOf(pointer)} has an entry that is neither a status nor a class`,
        mend,
      );
    }),
  );
  return (status) => listed.has(String(status)) || listed.has(`${Math.floor(status / 100)}xx`);
}
