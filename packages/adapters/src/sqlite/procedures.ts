import { type CatalogWrites, catalogWrites } from "./catalog-store.ts";
import type { Connection } from "./connection.ts";
import { type DeliveryWrites, deliveryWrites } from "./delivery-store.ts";
import { type JobWrites, jobWrites } from "./job-store.ts";
import { type LeaseWrites, leaseWrites } from "./lease-store.ts";
import { type PayloadWrites, payloadWrites } from "./payload-store.ts";
import { type ResourceWrites, resourceWrites } from "./resource-store.ts";
import { type TaskWrites, taskWrites } from "./task-writes.ts";

/**
 * Everything that is ever written, by name. Each takes one argument and answers one value that a thread can be sent, runs inside a
 * transaction that it shares with others, and may run twice when a neighbour's failure rolls the first transaction back.
 */
export interface Procedures
  extends TaskWrites,
    PayloadWrites,
    CatalogWrites,
    LeaseWrites,
    DeliveryWrites,
    ResourceWrites,
    JobWrites {}

/** The procedures on one connection, which nobody else writes with. */
export function procedures(db: Connection): Procedures {
  return {
    ...taskWrites(db),
    ...payloadWrites(db),
    ...catalogWrites(db),
    ...leaseWrites(db),
    ...deliveryWrites(db),
    ...resourceWrites(db),
    ...jobWrites(db),
  };
}
