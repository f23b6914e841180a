import { LonghaulError } from "@longhaul/core";

const maxIds = 500;

/** 1 to 500 ids, each once, in lower case. Rejects with `invalid_argument`. */
export function checkIds(ids: readonly string[]): string[] {
  if (ids.length >= 1 && ids.length <= maxIds) return [...new Set(ids.map((id) => id.toLowerCase()))];
  const message = `Name 1 to ${maxIds} ids; this request names ${ids.length}.`;
  throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/ids", message }] });
}
