export type { SchedulerServices } from "./rpc/services.ts";
export { type Scheduler, type SchedulerParts, scheduler } from "./scheduler.ts";
