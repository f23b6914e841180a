import type { PayloadStore } from "@longhaul/core";
import { type Connection, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

export const payloadSql = {
  put: "INSERT INTO payloads (key, json) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
  get: "SELECT json FROM payloads WHERE key = ?",
} as const;

/** PayloadStore on SQLite: one table, whatever the size. */
export function sqlitePayloadStore(db: Connection, writer: Writer): PayloadStore {
  const put = db.prepare(payloadSql.put);
  const get = db.prepare(payloadSql.get);
  return {
    put: async (payloads) => {
      if (payloads.length === 0) return;
      const bytes = payloads.reduce((total, one) => total + one.json.length, 0);
      await writer.write(bytes, () => {
        for (const { key, json } of payloads) put.run([key, json]);
      });
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
