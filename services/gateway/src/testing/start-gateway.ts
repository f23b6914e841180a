import type { LogFields, Logger } from "@longhaul/shared";
import { readiness } from "@longhaul/shared";
import type { GatewayConfig } from "../config.ts";
import { type GatewayDeps, gatewayParts } from "../wire.ts";
import { type FakeBackends, fakeBackends, transportClients } from "./fake-backends.ts";

export interface StartedGateway {
  readonly url: string;
  readonly port: number;
  readonly fake: FakeBackends;
  /** Lines logged as error: what nobody expected. */
  readonly errors: { readonly fields: LogFields; readonly message: string }[];
  readonly drain: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** A gateway on a free port before fakes. */
export async function startGateway({
  config,
  clients,
  fake = fakeBackends(),
  ...more
}: Partial<Omit<GatewayDeps, "config" | "clients">> & {
  readonly config?: Partial<GatewayConfig>;
  readonly clients?: GatewayDeps["clients"];
  readonly fake?: FakeBackends;
} = {}): Promise<StartedGateway> {
  const errors: StartedGateway["errors"] = [];
  const log: Logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (fields, message) => void errors.push({ fields, message }),
    child: () => log,
  };
  const ready = more.ready ?? readiness();
  const gateway = gatewayParts({
    config: {
      host: "127.0.0.1",
      port: 0,
      apiKeys: [],
      corsOrigins: [],
      maxBodyBytes: 1_048_576,
      maxHeldBytes: 67_108_864,
      ...config,
    },
    clients: clients ?? transportClients(fake),
    log,
    submits: { persistMs: 0 },
    workflowSchema: () => ({ type: "object" }),
    ...more,
    ready,
  });
  for (const one of gateway.parts) await one.start();
  if (!more.ready) ready.set(true);
  const { port } = gateway.address();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    fake,
    errors,
    drain: async () => {
      for (const one of gateway.parts) await one.drain(AbortSignal.timeout(5_000));
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of gateway.parts) await one.stop();
    },
  };
}
