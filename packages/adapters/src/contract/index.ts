export {
  delivered,
  delivery,
  failure,
  freshId,
  keyOf,
  nodeRun,
  queued,
  running,
  startOfTime,
  succeeded,
  unsuccessful,
  waiting,
  waitingFor,
  webhookDebt,
  workflowHead,
  workflowRevision,
} from "./builders.ts";
export { testCatalogStore } from "./catalog-store.ts";
export { testDeliveryStore } from "./delivery-store.ts";
export { collector, testDispatch, ticketOf, ticketsOf } from "./dispatch.ts";
export { job, testJobStore } from "./job-store.ts";
export { testLeaseStore } from "./lease-store.ts";
export { testLive } from "./live.ts";
export { hostileStrings, type Open, type Opened } from "./opened.ts";
export { testPayloadStore } from "./payload-store.ts";
export { testResourceStore } from "./resource-store.ts";
export { type TaskAndPayloadStores, testRetention } from "./retention.ts";
export { testTaskStore } from "./task-store.ts";
