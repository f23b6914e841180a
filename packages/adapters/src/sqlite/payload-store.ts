import type { PayloadStore } from "@longhaul/core";
import { type Connection, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

export const payloadSql = {
  put: "INSERT INTO payloads (key, json) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
  get: "SELECT json FROM payloads WHERE key = ?",
} as const;

interface NewPayload {
  readonly key: string;
  readonly json: string;
}

export interface PayloadWrites {
  putPayloads(payloads: readonly NewPayload[]): void;
}

/** What is written of payloads, inside a transaction that others share. */
export function payloadWrites(db: Connection): PayloadWrites {
  const put = db.prepare(payloadSql.put);
  return {
    putPayloads: (payloads) => {
      for (const { key, json } of payloads) put.run([key, json]);
    },
  };
}

/** PayloadStore on SQLite: one table, whatever the size. */
export function sqlitePayloadStore(db: Connection, writer: Writer): PayloadStore {
  const get = db.prepare(payloadSql.get);
  return {
    put: async (payloads) => {
      if (payloads.length === 0) return;
      const bytes = payloads.reduce((total, one) => total + one.json.length, 0);
      await writer.write(
        bytes,
        "putPayloads",
        payloads.map(({ key, json }) => ({ key, json })),
      );
    },
    get: async (keys) => {
      try {
        return keys.map((key) => {
          const row = get.get([key]);
          return row && textAt(row, 0);
        });
      } catch (error) {
        throw asStoreError(error);
      }
    },
  };
}
