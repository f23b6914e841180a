import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { LonghaulError } from "@longhaul/core";

/** Encrypts short secrets for the store. */
export interface SecretBox {
  /** `v1.<key id>.<iv>.<ciphertext and tag>`, base64url; the same text seals differently each time. */
  seal(text: string): string;
  /** What was sealed. Throws `internal` when no key fits or the text was changed; says nothing of either. */
  open(sealed: string): string;
}

/** AES-256-GCM. The first key seals, every key opens, so that a key can be changed: first add the new one in front, later drop the old one. */
export function secretBox(keys: readonly Uint8Array[]): SecretBox {
  const byId = new Map<string, Uint8Array>();
  for (const key of keys) {
    if (key.length !== 32) throw new LonghaulError("invalid_argument", "a secret key must have 32 bytes");
    byId.set(idOf(key), key);
  }
  const [first] = keys;
  if (!first) throw new LonghaulError("invalid_argument", "at least one secret key is needed; SECRET_KEY holds it");
  const firstId = idOf(first);

  return {
    seal(text) {
      const iv = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", first, iv).setAAD(Buffer.from(`v1.${firstId}`));
      const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return `v1.${firstId}.${iv.toString("base64url")}.${sealed.toString("base64url")}`;
    },
    open(sealed) {
      const [version, id = "", iv = "", body = "", ...more] = sealed.split(".");
      const bytes = Buffer.from(body, "base64url");
      const nonce = Buffer.from(iv, "base64url");
      if (version !== "v1" || more.length > 0 || nonce.length !== 12 || bytes.length < 16) {
        throw new LonghaulError("internal", "a stored secret is malformed");
      }
      const key = byId.get(id);
      if (!key) throw new LonghaulError("internal", "a stored secret was sealed with a key that SECRET_KEY no longer holds");
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
        decipher.setAAD(Buffer.from(`v1.${id}`)).setAuthTag(bytes.subarray(-16));
        return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString("utf8");
      } catch {
        throw new LonghaulError("internal", "a stored secret can't be opened");
      }
    },
  };
}

/** Names a key without telling anything about it. */
function idOf(key: Uint8Array): string {
  return createHash("sha256").update("longhaul secret key id\0").update(key).digest("base64url").slice(0, 8);
}
