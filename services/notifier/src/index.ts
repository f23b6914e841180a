export type { Clock } from "./clock.ts";
export { type Notifier, type NotifierParts, notifier } from "./notifier.ts";
export type { NotifierServices } from "./rpc/services.ts";
