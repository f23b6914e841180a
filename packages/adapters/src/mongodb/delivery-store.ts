import type { Delivery, DeliveryStore, Endpoint, Expired, StoredDelivery } from "@longhaul/core";
import type { Document } from "mongodb";
import { compareAndSet } from "./compare-and-set.ts";
import { durable, type Mongo } from "./connection.ts";
import { type DeliveryDocument, deliveryChange, deliveryToDocument, storedDelivery } from "./delivery-document.ts";
import { gatherBatches } from "./gather-batches.ts";
import { insertNew } from "./insert-new.ts";
import { readNow } from "./read-now.ts";
import { collections, indexes } from "./schema.ts";
import type { Query } from "./task-queries.ts";
import { newWriteId } from "./write-id.ts";

interface EndpointDocument {
  readonly _id: string;
  readonly consecutiveFailures: number;
  readonly pausedUntil?: number | undefined;
}

interface DeliveryChange {
  readonly next: Delivery;
  readonly rev: number;
}

export function mongoDeliveryStore(mongo: Mongo): DeliveryStore {
  const deliveries = mongo.db.collection<DeliveryDocument>(collections.deliveries);
  const endpoints = mongo.db.collection<EndpointDocument>(collections.endpoints);

  const insert = gatherBatches<Delivery, "inserted" | "exists">(
    (group) => insertNew(mongo, collections.deliveries, group.map(deliveryToDocument)),
    (delivery) => 1_024 + delivery.body.length,
  );
  const replace = gatherBatches<DeliveryChange, "replaced" | "stale">(
    (group) => compareAndSet(mongo, collections.deliveries, group.map(fieldChange)),
    ({ next }) => 512 + next.attempts.length * 256,
  );

  async function read({ filter, ...options }: Query<DeliveryDocument>): Promise<readonly StoredDelivery[]> {
    return await mongo.attempt(async () => (await deliveries.find(filter, options).toArray()).map(storedDelivery));
  }

  async function remove(expired: readonly Expired[]): Promise<number> {
    if (expired.length === 0) return 0;
    const ids = expired.map((one) => one.id);
    const withEndpoint = { projection: { endpoint: 1 }, hint: "_id_", batchSize: ids.length + 1 } as const;
    const found = await mongo.attempt(() => deliveries.find({ _id: { $in: ids } }, withEndpoint).toArray());
    const deletes = expired.map(({ id, project, rev }) => ({ q: { _id: id, project, rev }, limit: 1, hint: { _id: 1 } }));
    const command = { delete: collections.deliveries, deletes, ordered: false, writeConcern: durable };
    const reply = await mongo.command(command);
    await removeIdleEndpoints([...new Set(found.map((one) => one.endpoint))]);
    const removed: unknown = reply["n"];
    return typeof removed === "number" ? removed : 0;
  }

  /** Health is worth keeping only while there is something left to send; it is learnt anew. */
  async function removeIdleEndpoints(names: readonly string[]): Promise<void> {
    const busy = [{ $match: { lane: { $in: [...names] } } }, { $group: { _id: "$lane" } }];
    const found = await mongo.attempt(() => deliveries.aggregate<{ _id: string }>(busy, { hint: indexes.due }).toArray());
    const kept = new Set(found.map((one) => one._id));
    const idle = names.filter((name) => !kept.has(name));
    if (idle.length > 0) await mongo.attempt(() => endpoints.deleteMany({ _id: { $in: idle } }, { hint: "_id_" }));
  }

  return {
    insert,
    replace,
    get: async (project, id) => {
      const found = await mongo.attempt(() => deliveries.findOne({ _id: id, project }, { hint: "_id_" }));
      return found ? storedDelivery(found) : undefined;
    },
    listByTask: async (project, taskId, limit, after) =>
      (await read(deliveriesOfTask(project, taskId, limit, after))).map((stored) => stored.delivery),
    listExhausted: async (project, limit, after) => {
      const { filter, ...options } = exhaustedDeliveries(project, limit, after);
      const found = await mongo.attempt(() => deliveries.find(filter, options).toArray());
      return found.map(({ _id }) => _id);
    },
    listDueEndpoints: (until, limit, after) =>
      mongo.attempt(async () => {
        const pipeline = [...dueEndpoints(until, limit, after)];
        const found = await deliveries.aggregate<{ _id: string }>(pipeline, { hint: indexes.due }).toArray();
        return found.map((one) => one._id);
      }),
    listDue: (endpoint, until, limit) => read(dueDeliveries(endpoint, until, limit)),
    nextDue: async () => {
      const { filter, ...options } = nextDueDelivery;
      const next = await mongo.attempt(() => deliveries.findOne(filter, options));
      return next?.nextAttemptTime ?? undefined;
    },
    listUnreported: (limit) => read(unreportedDeliveries(limit)),
    getEndpoint: async (endpoint) => {
      const found = await mongo.attempt(() => endpoints.findOne({ _id: endpoint }));
      return found ? endpointOf(found) : undefined;
    },
    putEndpoint: async ({ endpoint, consecutiveFailures, pausedUntil }) => {
      const document = { consecutiveFailures, pausedUntil };
      await mongo.attempt(() => endpoints.replaceOne({ _id: endpoint }, document, { upsert: true }));
    },
    listExpired: async (settledBy, limit) => {
      const { filter, ...options } = expiredDeliveries(settledBy, limit);
      const found = await mongo.attempt(() => deliveries.find(filter, { ...options, batchSize: limit }).toArray());
      return found.map(({ _id, project, rev, settledAt }) => ({ project, id: _id, rev, settledAt: settledAt ?? 0 }));
    },
    remove,
    now: () => readNow(mongo),
  };
}

function fieldChange({ next, rev }: DeliveryChange) {
  return { id: next.id, project: next.project, rev, writeId: newWriteId(), fields: deliveryChange(next) };
}

function endpointOf({ _id, consecutiveFailures, pausedUntil }: EndpointDocument): Endpoint {
  return { endpoint: _id, consecutiveFailures, ...(pausedUntil === undefined ? {} : { pausedUntil }) };
}

function deliveriesOfTask(project: string, taskId: string, limit: number, after?: string): Query<DeliveryDocument> {
  const filter = { project, taskId, ...(after === undefined ? {} : { _id: { $gt: after } }) };
  return { filter, sort: { _id: 1 }, limit, hint: indexes.byTask };
}

function exhaustedDeliveries(project: string, limit: number, after?: string): Query<DeliveryDocument> {
  const filter = { project, "head.state": "exhausted" as const, ...(after === undefined ? {} : { _id: { $gt: after } }) };
  return { filter, sort: { _id: 1 }, limit, hint: indexes.exhausted, projection: { _id: 1 } };
}

function dueDeliveries(endpoint: string, until: number, limit: number): Query<DeliveryDocument> {
  const filter = { lane: endpoint, nextAttemptTime: { $lte: until } };
  return { filter, sort: { nextAttemptTime: 1, _id: 1 }, limit, hint: indexes.due };
}

const nextDueDelivery: Query<DeliveryDocument> = {
  filter: { nextAttemptTime: { $gte: 0 } },
  sort: { nextAttemptTime: 1 },
  limit: 1,
  hint: indexes.nextDue,
  projection: { _id: 0, nextAttemptTime: 1 },
};

function unreportedDeliveries(limit: number): Query<DeliveryDocument> {
  return { filter: { unreported: true }, sort: { _id: 1 }, limit, hint: indexes.unreported };
}

function expiredDeliveries(settledBy: number, limit: number): Query<DeliveryDocument> {
  return {
    filter: { settledAt: { $gte: 0, $lte: settledBy } },
    sort: { settledAt: 1, _id: 1 },
    limit,
    hint: indexes.settled,
    projection: { project: 1, rev: 1, settledAt: 1 },
  };
}

/**
 * The index is in the order of (lane, nextAttemptTime), so the first entry of an endpoint is its earliest; the server jumps from
 * endpoint to endpoint (DISTINCT_SCAN) and reads one entry of each that has anything left to deliver, however long its queue.
 */
function dueEndpoints(until: number, limit: number, after = ""): readonly Document[] {
  return [
    { $match: { lane: { $gt: after } } },
    { $sort: { lane: 1, nextAttemptTime: 1 } },
    { $group: { _id: "$lane", earliest: { $first: "$nextAttemptTime" } } },
    { $match: { earliest: { $lte: until } } },
    { $sort: { _id: 1 } },
    { $limit: limit },
  ];
}
