import type { Payload } from "@longhaul/core";

/** A payload as a document: `json` when it lies here, `key` and `bytes` when it lies among the payloads. */
export interface PayloadDocument {
  readonly json?: string;
  readonly key?: string;
  readonly bytes?: number;
}

export function payloadToDocument(payload: Payload): PayloadDocument {
  return payload.kind === "inline" ? { json: payload.json } : { key: payload.key, bytes: payload.bytes };
}

export function payloadFromDocument(document: PayloadDocument): Payload {
  return document.key === undefined
    ? { kind: "inline", json: document.json ?? "null" }
    : { kind: "stored", key: document.key, bytes: document.bytes ?? 0 };
}

/** About how much room a payload takes in a document. */
export function payloadSize(payload: Payload | undefined): number {
  return payload?.kind === "inline" ? payload.json.length : 100;
}
