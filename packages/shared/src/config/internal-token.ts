import type { Vars } from "./read-env.ts";

/** What services prove themselves to each other with; the same in every service. */
export function readInternalToken(vars: Vars): string {
  const token = vars.text("INTERNAL_TOKEN");
  if (token.length < 16) vars.fault("INTERNAL_TOKEN", "must have at least 16 characters");
  return token;
}
