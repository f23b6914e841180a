import { type Delivery, type DeliveryStore, deliverySettledAt, type Expired, type StoredDelivery } from "@longhaul/core";
import { type Connection, numberAt, type Row, type SqlValue, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

const columns = "d.rev, d.standing, b.fixed, b.body";
const joined = "CROSS JOIN delivery_bodies b ON b.seq = d.seq";

export const deliverySql = {
  lastSeq: "SELECT coalesce(max(seq), 0) FROM deliveries",
  insert: "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
  insertBody: "INSERT INTO delivery_bodies VALUES (?, ?, ?)",
  get: `SELECT ${columns} FROM deliveries d ${joined} WHERE d.id = ? AND d.project = ?`,
  listByTask: `SELECT ${columns} FROM deliveries d INDEXED BY deliveries_task ${joined} WHERE d.task_id = ? AND d.id > ? AND d.project = ? ORDER BY d.id LIMIT ?`,
  listExhausted:
    "SELECT id FROM deliveries INDEXED BY deliveries_exhausted WHERE project = ? AND id > ? AND json_extract(standing, '$.state') = 'exhausted' ORDER BY id LIMIT ?",
  replace:
    "UPDATE deliveries SET rev = rev + 1, next_time = ?, unreported = ?, standing = ?, settled_at = ? WHERE id = ? AND project = ? AND rev = ?",
  // From endpoint to endpoint, not from delivery to delivery.
  nextEndpoint:
    "SELECT endpoint, next_time FROM deliveries INDEXED BY deliveries_endpoint WHERE next_time IS NOT NULL AND endpoint > ? ORDER BY endpoint, next_time LIMIT 1",
  listDue: `SELECT ${columns} FROM deliveries d INDEXED BY deliveries_endpoint ${joined} WHERE d.endpoint = ? AND d.next_time <= ? ORDER BY d.next_time LIMIT ?`,
  nextDue:
    "SELECT next_time FROM deliveries INDEXED BY deliveries_next WHERE next_time > -9007199254740991 ORDER BY next_time LIMIT 1",
  listUnreported: `SELECT ${columns} FROM deliveries d INDEXED BY deliveries_unreported ${joined} WHERE d.unreported IS NOT NULL AND d.seq > -1 ORDER BY d.seq LIMIT ?`,
  listExpired:
    "SELECT id, project, rev, settled_at FROM deliveries INDEXED BY deliveries_settled WHERE settled_at <= ? ORDER BY settled_at LIMIT ?",
  find: "SELECT seq, endpoint FROM deliveries WHERE id = ? AND project = ? AND rev = ?",
  removeBody: "DELETE FROM delivery_bodies WHERE seq = ?",
  remove: "DELETE FROM deliveries WHERE seq = ?",
  removeIdleEndpoint:
    "DELETE FROM endpoints WHERE endpoint = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_endpoint WHERE endpoint = ?1 AND next_time IS NOT NULL)",
  getEndpoint: "SELECT failures, paused_until FROM endpoints WHERE endpoint = ?",
  putEndpoint:
    "INSERT INTO endpoints VALUES (?, ?, ?) ON CONFLICT (endpoint) DO UPDATE SET failures = excluded.failures, paused_until = excluded.paused_until",
} as const;

/** Bounds one transaction, so that it holds up other writes for a moment only: a body may have hundreds of KiB. */
const removedAtOnce = 16;

type Fixed = Pick<
  Delivery,
  "id" | "project" | "taskId" | "event" | "url" | "endpoint" | "sealedSecrets" | "sealedHeaders" | "createTime"
>;
type Standing = Omit<Delivery, keyof Fixed | "body">;

/** A new delivery as rows: the columns of both tables behind `seq`. */
interface DeliveryRows {
  readonly delivery: readonly SqlValue[];
  readonly body: readonly SqlValue[];
}

export interface DeliveryWrites {
  insertDeliveries(deliveries: readonly DeliveryRows[]): ("inserted" | "exists")[];
  replaceDeliveries(changes: readonly (readonly SqlValue[])[]): ("replaced" | "stale")[];
  removeDeliveries(expired: readonly Expired[]): number;
  putEndpoint(values: readonly SqlValue[]): void;
}

/** What is written of deliveries, inside a transaction that others share. */
export function deliveryWrites(db: Connection): DeliveryWrites {
  const insert = db.prepare(deliverySql.insert);
  const insertBody = db.prepare(deliverySql.insertBody);
  const replace = db.prepare(deliverySql.replace);
  const find = db.prepare(deliverySql.find);
  const removeBody = db.prepare(deliverySql.removeBody);
  const remove = db.prepare(deliverySql.remove);
  const removeIdleEndpoint = db.prepare(deliverySql.removeIdleEndpoint);
  const putEndpoint = db.prepare(deliverySql.putEndpoint);
  let seq = numberAt(db.prepare(deliverySql.lastSeq).get([]) ?? [], 0);

  function insertOne({ delivery, body }: DeliveryRows): "inserted" | "exists" {
    const next = seq + 1;
    if (insert.run([next, ...delivery]) === 0) return "exists";
    seq = next;
    insertBody.run([next, ...body]);
    return "inserted";
  }

  return {
    insertDeliveries: (deliveries) => deliveries.map(insertOne),
    replaceDeliveries: (changes) => changes.map((values) => (replace.run(values) === 0 ? "stale" : "replaced")),
    removeDeliveries: (expired) => {
      const endpoints = new Set<string>();
      let removed = 0;
      for (const { id, project, rev } of expired) {
        const row = find.get([id, project, rev]);
        if (!row) continue;
        removeBody.run([numberAt(row, 0)]);
        remove.run([numberAt(row, 0)]);
        endpoints.add(textAt(row, 1));
        removed++;
      }
      for (const endpoint of endpoints) removeIdleEndpoint.run([endpoint]);
      return removed;
    },
    putEndpoint: (values) => void putEndpoint.run(values),
  };
}

/** DeliveryStore on SQLite: the message is written once, its standing with every change. */
export function sqliteDeliveryStore(db: Connection, writer: Writer): DeliveryStore {
  const get = db.prepare(deliverySql.get);
  const listByTask = db.prepare(deliverySql.listByTask);
  const listExhausted = db.prepare(deliverySql.listExhausted);
  const nextEndpoint = db.prepare(deliverySql.nextEndpoint);
  const listDue = db.prepare(deliverySql.listDue);
  const nextDue = db.prepare(deliverySql.nextDue);
  const listUnreported = db.prepare(deliverySql.listUnreported);
  const listExpired = db.prepare(deliverySql.listExpired);
  const getEndpoint = db.prepare(deliverySql.getEndpoint);

  return {
    insert: async (deliveries) => {
      if (deliveries.length === 0) return [];
      const bytes = deliveries.reduce((total, one) => total + 1_000 + one.body.length, 0);
      return writer.write(bytes, "insertDeliveries", deliveries.map(rowsOf));
    },
    get: (project, id) =>
      tried(() => {
        const row = get.get([id, project]);
        return row && storedOf(row);
      }),
    listByTask: (project, taskId, limit, after = "") =>
      tried(() => listByTask.all([taskId, after, project, limit]).map((row) => storedOf(row).delivery)),
    listExhausted: (project, limit, after = "") =>
      tried(() => listExhausted.all([project, after, limit]).map((row) => textAt(row, 0))),
    replace: async (changes) => {
      if (changes.length === 0) return [];
      const rows = changes.map(({ next, rev }) => [...standingOf(next), next.id, next.project, rev]);
      return writer.write(changes.length * 1_000, "replaceDeliveries", rows);
    },
    listDueEndpoints: (until, limit, after = "") =>
      tried(() => {
        const due: string[] = [];
        let row = nextEndpoint.get([after]);
        while (row && due.length < limit) {
          const endpoint = textAt(row, 0);
          if (numberAt(row, 1) <= until) due.push(endpoint);
          row = nextEndpoint.get([endpoint]);
        }
        return due;
      }),
    listDue: (endpoint, until, limit) => tried(() => listDue.all([endpoint, until, limit]).map(storedOf)),
    nextDue: () =>
      tried(() => {
        const row = nextDue.get([]);
        return row && numberAt(row, 0);
      }),
    listUnreported: (limit) => tried(() => listUnreported.all([limit]).map(storedOf)),
    listExpired: (settledBy, limit) =>
      tried(() =>
        listExpired
          .all([settledBy, limit])
          .map((row) => ({ id: textAt(row, 0), project: textAt(row, 1), rev: numberAt(row, 2), settledAt: numberAt(row, 3) })),
      ),
    remove: async (expired) => {
      let removed = 0;
      for (let from = 0; from < expired.length; from += removedAtOnce) {
        const some = expired.slice(from, from + removedAtOnce);
        removed += await writer.write(some.length * 1_000, "removeDeliveries", some);
      }
      return removed;
    },
    getEndpoint: (endpoint) =>
      tried(() => {
        const row = getEndpoint.get([endpoint]);
        if (!row) return undefined;
        const pausedUntil = row[1];
        const health = { endpoint, consecutiveFailures: numberAt(row, 0) };
        return typeof pausedUntil === "number" ? { ...health, pausedUntil } : health;
      }),
    putEndpoint: ({ endpoint, consecutiveFailures, pausedUntil }) =>
      writer.write(200, "putEndpoint", [endpoint, consecutiveFailures, pausedUntil ?? null]),
    now: async () => Date.now(),
  };
}

function rowsOf(delivery: Delivery): DeliveryRows {
  const { id, project, taskId, endpoint, body } = delivery;
  return { delivery: [id, project, taskId, endpoint, ...standingOf(delivery)], body: [fixedOf(delivery), body] };
}

/** The columns that change: when it is due, whether the scheduler knows, and the rest as JSON. */
function standingOf(delivery: Delivery): SqlValue[] {
  const { state, nextAttemptTime, attempts, made, madeInRound, sequence, unreported } = delivery;
  const standing: { [K in keyof Standing]: Standing[K] | undefined } = {
    ...{ state, nextAttemptTime, attempts, made, madeInRound, sequence, unreported },
  };
  return [nextAttemptTime ?? null, unreported ? 1 : null, JSON.stringify(standing), deliverySettledAt(delivery) ?? null];
}

function fixedOf({ id, project, taskId, event, url, endpoint, sealedSecrets, sealedHeaders, createTime }: Delivery): string {
  const fixed: Fixed = { id, project, taskId, event, url, endpoint, sealedSecrets, sealedHeaders, createTime };
  return JSON.stringify(fixed);
}

function storedOf(row: Row): StoredDelivery {
  // What was written here as JSON is read back as the same types.
  const standing: Standing = JSON.parse(textAt(row, 1));
  const fixed: Fixed = JSON.parse(textAt(row, 2));
  return { delivery: { ...fixed, body: textAt(row, 3), ...standing }, rev: numberAt(row, 0) };
}

async function tried<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (error) {
    throw asStoreError(error);
  }
}
