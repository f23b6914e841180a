import type { SecretBox } from "@longhaul/shared";

/**
 * Inputs and outputs of nodes that keep them secret are stored sealed, as a JSON string. That a value is sealed is said by its node run;
 * of a large value also by its key, because whoever reads that has nothing else.
 */
const sealedPart = /\/sealed-(input|output)$/;

/** The last part of the key of a value. */
export function valuePart(name: "input" | "output", isSecret: boolean): string {
  return isSecret ? `sealed-${name}` : name;
}

export function isSealedKey(key: string): boolean {
  return sealedPart.test(key);
}

/** JSON text, sealed into another JSON text. */
export function sealJson(box: SecretBox, json: string): string {
  return JSON.stringify(box.seal(json));
}

/** The JSON text that was sealed. Throws `internal` when it can't be opened. */
export function openJson(box: SecretBox, sealed: string): string {
  return box.open(String(JSON.parse(sealed)));
}
