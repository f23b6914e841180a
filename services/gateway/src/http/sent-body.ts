import type { Json } from "@longhaul/core";

/** A body as it came, and as it reads. */
export interface SentBody {
  readonly bytes: Uint8Array;
  readonly value: Json;
}
