import { LonghaulError, type Payload, type PayloadStore } from "@longhaul/core";

/** Values up to this many bytes of JSON lie inside the header. */
const inlineBytes = 8_192;

/** UTF-8 bytes as text, without copying them first. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** Collects the values of one request that are too large for a header, so that they are written together, before any header. */
export interface PayloadWriter {
  /** The value as a header holds it. `key` is only used when it is large; the same key must mean the same value. */
  add(json: string, key: string): Payload;
  /** Durable when it resolves. */
  flush(): Promise<void>;
  /** Writes the values of these keys once more, in case they went with an earlier task of the same id. */
  flushAgain(keys: ReadonlySet<string>): Promise<void>;
}

export function payloadWriter(store: PayloadStore): PayloadWriter {
  const large: { readonly key: string; readonly json: string }[] = [];
  return {
    add(json, key) {
      // UTF-8 takes at most three bytes per UTF-16 unit: count exactly only when it could matter.
      if (json.length * 3 <= inlineBytes) return { kind: "inline", json };
      const bytes = Buffer.byteLength(json);
      if (bytes <= inlineBytes) return { kind: "inline", json };
      large.push({ key, json });
      return { kind: "stored", key, bytes };
    },
    async flush() {
      if (large.length > 0) await store.put(large);
    },
    async flushAgain(keys) {
      await store.put(large.filter(({ key }) => keys.has(key)));
    },
  };
}

/**
 * Reads values, those in headers included, up to a budget of bytes; what goes beyond is left out and answered as undefined. So is what is
 * not there, if `absent` says so: among many tasks one may have expired since its header was read.
 */
export async function readPayloads(
  store: PayloadStore,
  payloads: readonly (Payload | undefined)[],
  maxBytes: number,
  absent: "fault" | "left out" = "fault",
): Promise<readonly (string | undefined)[]> {
  let left = maxBytes;
  const keys: string[] = [];
  const wanted = payloads.map((payload) => {
    if (payload === undefined || payload.kind === "inline") return false;
    if (payload.bytes > left) return false;
    left -= payload.bytes;
    keys.push(payload.key);
    return true;
  });
  const found = keys.length === 0 ? [] : await store.get(keys);
  let next = 0;
  return payloads.map((payload, i) => {
    if (payload?.kind === "inline") return payload.json;
    if (wanted[i] !== true) return undefined;
    const json = found[next++];
    if (json === undefined && absent === "fault") throw new LonghaulError("internal", "a stored value is missing");
    return json;
  });
}
