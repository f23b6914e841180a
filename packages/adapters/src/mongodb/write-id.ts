import { randomBytes } from "node:crypto";

// 96 random bits per process and a counter: unique like a random id, and cheaper.
const prefix = randomBytes(12).toString("base64url");
let count = 0;

/** An id that no other write has; by it a write whose answer was lost is recognised. */
export function newWriteId(): string {
  count++;
  return prefix + count.toString(36);
}
