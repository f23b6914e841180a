import { createHmac } from "node:crypto";

/** What one signature covers. */
export interface SignedContent {
  /** The header `webhook-id`. */
  readonly id: string;
  /** The header `webhook-timestamp`: seconds since the epoch. */
  readonly timestamp: number;
  /** The exact bytes that are posted. */
  readonly body: Uint8Array;
}

/**
 * The header `webhook-signature` of Standard Webhooks 1.0: one `v1,` signature per secret, separated by spaces, so that a receiver that
 * knows either of two secrets accepts the message while they are rotated. Secrets are as users give them (`secretBytes`).
 */
export function signatureHeader(content: SignedContent, secrets: readonly string[]): string {
  return secrets
    .map((secret) => {
      const hmac = createHmac("sha256", secretBytes(secret));
      // The body goes in as bytes: decoding it first would change what is signed wherever it is not clean UTF-8.
      hmac.update(`${content.id}.${content.timestamp}.`).update(content.body);
      return `v1,${hmac.digest("base64")}`;
    })
    .join(" ");
}

/** The key of a secret: what follows `whsec_` if it is base64, else the UTF-8 bytes of the whole text. */
export function secretBytes(secret: string): Uint8Array {
  const encoded = secret.startsWith("whsec_") ? secret.slice("whsec_".length) : "";
  return isBase64(encoded) ? Buffer.from(encoded, "base64") : Buffer.from(secret, "utf8");
}

function isBase64(text: string): boolean {
  return text.length >= 2 && /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.replace(/=+$/, "").length % 4 !== 1;
}
