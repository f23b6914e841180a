import type { CatalogStore, DeliveryStore, JobStore, LeaseStore, PayloadStore, ResourceStore, TaskStore } from "@longhaul/core";
import { sweepBlobs } from "./blob-store.ts";
import { mongoCatalogStore } from "./catalog-store.ts";
import { type ConnectionOptions, connectMongo, type Mongo } from "./connection.ts";
import { mongoDeliveryStore } from "./delivery-store.ts";
import { mongoJobStore } from "./job-store.ts";
import { mongoLeaseStore } from "./lease-store.ts";
import { migrate } from "./migrate.ts";
import { mongoPayloadStore } from "./payload-store.ts";
import { mongoResourceStore } from "./resource-store.ts";
import { startSearchIndexer } from "./search-index.ts";
import { mongoTaskStore } from "./task-store.ts";

export interface MongoOptions extends ConnectionOptions {
  /** Whether this process looks after the search index and abandoned uploads; default true. One of several does, by a lock. */
  readonly housekeeping?: boolean;
  /** Hears of failed housekeeping, which is tried again by itself. */
  readonly onHousekeepingError?: (error: unknown) => void;
}

export interface MongoStores {
  readonly tasks: TaskStore;
  readonly payloads: PayloadStore;
  readonly catalog: CatalogStore;
  readonly leases: LeaseStore;
  readonly deliveries: DeliveryStore;
  readonly resources: ResourceStore;
  readonly jobs: JobStore;
  /** Ends housekeeping and connections; what is under way fails with `unavailable`. */
  close(): Promise<void>;
}

const sweepEveryMs = 600_000;

/**
 * Connects, brings the database to the newest form and opens the stores. Rejects with LonghaulError: `unavailable` when the database
 * can't be reached within about five seconds, `precondition_failed` when its data was written by a newer program.
 * Afterwards every operation of the stores rejects with `unavailable` while the database is away, and works again once it is back.
 */
export async function openMongo(options: MongoOptions): Promise<MongoStores> {
  const mongo = connectMongo(options);
  try {
    await migrate(mongo);
  } catch (error) {
    await mongo.close();
    throw error;
  }
  const { housekeeping = true, onHousekeepingError = () => {} } = options;
  const stops = housekeeping ? [startSearchIndexer, startSweeps].map((start) => start(mongo, onHousekeepingError)) : [];
  return {
    tasks: mongoTaskStore(mongo),
    payloads: mongoPayloadStore(mongo),
    catalog: mongoCatalogStore(mongo),
    leases: mongoLeaseStore(mongo),
    deliveries: mongoDeliveryStore(mongo),
    resources: mongoResourceStore(mongo),
    jobs: mongoJobStore(mongo),
    close: async () => {
      await Promise.all(stops.map((stop) => stop()));
      await mongo.close();
    },
  };
}

/** Two sweepers at once do no harm. */
function startSweeps(mongo: Mongo, onError: (error: unknown) => void): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = sweepBlobs(mongo).then(() => {}, onError);
  }, sweepEveryMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
