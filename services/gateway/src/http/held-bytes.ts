import { LonghaulError } from "@longhaul/core";
import type { ByteBudget } from "./bodies.ts";

/** A budget of bytes. One request always fits while nothing else is held, however large it is. */
export function heldBytes(maxBytes: number): ByteBudget {
  let held = 0;
  return {
    take(bytes) {
      if (held > 0 && held + bytes > maxBytes) {
        throw new LonghaulError("unavailable", "too many bytes are under way here already, try again later", {
          retryAfterMs: 1_000,
        });
      }
      held += bytes;
      let isHeld = true;
      return () => {
        if (isHeld) held -= bytes;
        isHeld = false;
      };
    },
  };
}
