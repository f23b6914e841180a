export { type ConnectNatsOptions, connectNats, type NatsLink } from "./connect-nats.ts";
export { type JetstreamDispatch, type JetstreamDispatchOptions, jetstreamDispatch } from "./jetstream-dispatch.ts";
export { type NatsLive, type NatsLiveOptions, natsLive } from "./nats-live.ts";
export type { NatsLog } from "./nats-log.ts";
