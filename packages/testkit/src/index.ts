export {
  type ChatBody,
  type ModelAnswer,
  type ModelHandler,
  type ModelRequest,
  type ModelServer,
  modelServer,
} from "./models/model-server.ts";
export { freePort } from "./net/free-port.ts";
export { type TcpProxy, tcpProxy } from "./net/tcp-proxy.ts";
export {
  type ReceivedRequest,
  type ReceiverAnswer,
  type ReceiverHandler,
  type WebhookReceiver,
  webhookReceiver,
} from "./net/webhook-receiver.ts";
export { type NodeProcess, type SpawnNodeOptions, spawnNode } from "./process/spawn-node.ts";
export { type Exit, type WatchedProcess, type WatchOptions, watchProcess } from "./process/watched-process.ts";
export { type FindOptions, findServer, type ServerName, serverCache } from "./servers/find-server.ts";
export { type MongoServer, mongoServer } from "./servers/mongo-server.ts";
export { type NatsServer, natsServer } from "./servers/nats-server.ts";
export { startSharedServers, testDatabase, testNats } from "./servers/shared-servers.ts";
export { type HandClock, handClock } from "./time/hand-clock.ts";
