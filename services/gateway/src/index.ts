export type { GatewayClients } from "./clients.ts";
export { type GatewayConfig, gatewayConfigOf } from "./config.ts";
export { type Gateway, type GatewayDeps, gatewayParts, wireGateway } from "./wire.ts";
