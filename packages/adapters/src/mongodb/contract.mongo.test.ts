import type { TaskStore } from "@longhaul/core";
import { testDatabase } from "@longhaul/testkit";
import {
  type Opened,
  testCatalogStore,
  testDeliveryStore,
  testJobStore,
  testLeaseStore,
  testPayloadStore,
  testResourceStore,
  testRetention,
  testTaskStore,
} from "../contract/index.ts";
import { connectMongo } from "./connection.ts";
import { type MongoStores, openMongo } from "./open-mongo.ts";
import { indexTexts } from "./search-index.ts";

async function opened<Store>(pick: (stores: MongoStores, url: string) => Store): Promise<Opened<Store>> {
  const { url } = testDatabase();
  const stores = await openMongo({ url, housekeeping: false });
  return {
    store: pick(stores, url),
    close: async () => {
      await stores.close();
      const mongo = connectMongo({ url });
      await mongo.db.dropDatabase();
      await mongo.close();
    },
  };
}

testTaskStore("MongoDB", () => opened((stores) => stores.tasks));
testRetention("MongoDB", () => opened((stores) => stores));
testPayloadStore("MongoDB", () => opened((stores) => stores.payloads));
testCatalogStore("MongoDB", () => opened((stores) => stores.catalog));
testLeaseStore("MongoDB", () => opened((stores) => stores.leases));
testDeliveryStore("MongoDB", () => opened((stores) => stores.deliveries));
testJobStore("MongoDB", () => opened((stores) => stores.jobs));
testResourceStore("MongoDB", () => opened((stores) => stores.resources));

// The same suite once more with a search index that has caught up before every search.
testTaskStore("MongoDB with every word indexed", async () => {
  const { store, close } = await opened((stores, url) => ({ tasks: stores.tasks, mongo: connectMongo({ url }) }));
  const tasks: TaskStore = {
    ...store.tasks,
    list: async (query) => {
      if (query.q !== undefined) await indexTexts(store.mongo, 1);
      return await store.tasks.list(query);
    },
  };
  return {
    store: tasks,
    close: async () => {
      await store.mongo.close();
      await close();
    },
  };
});
