import { LonghaulError } from "@longhaul/core";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A task's id as it is kept, in lower case. Throws `invalid_argument`. */
export function taskIdOf(text: string): string {
  if (uuid.test(text)) return text.toLowerCase();
  const message = "The task id is not a UUID.";
  throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/taskId", message }] });
}
