import { LonghaulError } from "@longhaul/core";

/** A place in the list of a task's deliveries, as an opaque token. It holds no secret and is checked like any input. */
export function pageToken(taskId: string, after: string): string {
  return Buffer.from(JSON.stringify([taskId, after])).toString("base64url");
}

/** The delivery id behind which the page begins; undefined for an empty token. Rejects what this task's list did not give with `invalid_argument`. */
export function placeBehind(token: string, taskId: string): string | undefined {
  if (token === "") return undefined;
  const place =
    token.length <= 1_024 && /^[A-Za-z0-9_-]+$/.test(token) ? parse(Buffer.from(token, "base64url").toString("utf8")) : undefined;
  if (Array.isArray(place) && place.length === 2) {
    const [task, after]: unknown[] = place;
    if (task === taskId && typeof after === "string" && after.startsWith(`${taskId}.`)) return after;
  }
  const message = "The page token is not one that this list gave; start again without one.";
  throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/pageToken", message }] });
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
