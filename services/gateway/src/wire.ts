import { setMaxListeners } from "node:events";
import type { Json } from "@longhaul/core";
import {
  type AnyHandler,
  type Env,
  type Logger,
  type OnePort,
  type Part,
  pinoLogger,
  type Readiness,
  type Running,
  readiness,
  rpcHandler,
  taskIds,
} from "@longhaul/shared";
import { authenticateBy } from "./auth/api-keys.ts";
import { originGuard } from "./auth/origin-guard.ts";
import { backends } from "./backends.ts";
import { type GatewayClients, publicServices } from "./clients.ts";
import { type GatewayConfig, readConfig } from "./config.ts";
import { hideBackends } from "./hide-backends.ts";
import type { EventStreamOptions } from "./http/event-stream.ts";
import { front } from "./http/front.ts";
import { heldBytes } from "./http/held-bytes.ts";
import { httpApp } from "./http/http-app.ts";
import { pages } from "./http/pages.ts";
import { routeTable } from "./http/route-table.ts";
import { type SubmitterOptions, submitter } from "./intake/submitter.ts";
import { openApiDocument } from "./openapi/openapi-document.ts";
import { authenticateCalls, publicRpc } from "./rpc/public-rpc.ts";

/** Of this package; said in the OpenAPI document. */
const version = "0.1.0";

export interface GatewayDeps {
  readonly clients: GatewayClients;
  readonly config: GatewayConfig;
  readonly log: Logger;
  /** Of the whole process. */
  readonly ready: Readiness;
  /** Whether the services behind the clients can be reached; without it they are taken to be there. */
  readonly reach?: () => Promise<boolean>;
  /** The JSON Schema of workflow definitions; default that of @longhaul/workflow. */
  readonly workflowSchema?: () => Json | Promise<Json>;
  readonly events?: EventStreamOptions;
  readonly submits?: Omit<SubmitterOptions, "maxHeldBytes">;
  /** How long a request, and its head, may take to arrive; see `front`. */
  readonly requestTimeoutMs?: number;
  readonly headersTimeoutMs?: number;
}

export interface Gateway {
  /** To be started after what the clients talk to. */
  readonly parts: readonly Part[];
  /** Where it listens; throws before it does. */
  readonly address: OnePort["address"];
}

/** The gateway: one port for the HTTP API, gRPC, gRPC-Web and Connect. It keeps no state. */
export function gatewayParts(deps: GatewayDeps): Gateway {
  const { clients, config, log, ready } = deps;
  const services = publicServices(clients);
  const routes = routeTable(services.map((one) => one.service));
  const authenticate = authenticateBy(config.apiKeys);
  const submit = {
    submit: submitter(clients.intake, { ...deps.submits, maxHeldBytes: config.maxHeldBytes }),
    tasks: clients.tasks,
    newId: taskIds(),
  };
  const draining = new AbortController();
  // Every stream and every long poll listens.
  setMaxListeners(0, draining.signal);

  // Only a start waits for the services behind. If they go away later they do so for all gateways alike, and a gateway that answers 503
  // with Retry-After is of more use than a Service without endpoints.
  let reached = deps.reach === undefined;
  const hasReached = async (): Promise<boolean> => {
    reached ||= (await deps.reach?.()) === true;
    return reached;
  };

  const app = httpApp({
    services,
    routes,
    submit,
    authenticate,
    pages: pages({
      isReady: async () => ready.isReady() && (await hasReached()),
      openApi: openApiDocument(routes, version),
      workflowSchema: deps.workflowSchema ?? schemaOfWorkflows,
    }),
    budget: heldBytes(config.maxHeldBytes),
    maxBodyBytes: config.maxBodyBytes,
    log,
    draining: draining.signal,
    ...(deps.events && { events: deps.events }),
  });
  const rpc = rpcHandler({
    routes: publicRpc(services, submit),
    ready,
    log,
    maxBytes: config.maxBodyBytes + 65_536,
    interceptors: [hideBackends, authenticateCalls(services, authenticate)],
    draining: draining.signal,
  });
  const http: AnyHandler = (req, res) => {
    // Fastify's types know HTTP/1.1 messages here; the compatible ones of HTTP/2 have all that it uses.
    app.routing(req as Parameters<typeof app.routing>[0], res as Parameters<typeof app.routing>[1]);
  };
  const port = front({
    host: config.host,
    port: config.port,
    admit: originGuard({ allowed: config.corsOrigins, isLoopbackOnly: config.apiKeys.length === 0 }),
    rpc,
    http,
    ...(deps.requestTimeoutMs !== undefined && { requestTimeoutMs: deps.requestTimeoutMs }),
    ...(deps.headersTimeoutMs !== undefined && { headersTimeoutMs: deps.headersTimeoutMs }),
  });
  const server: Part = {
    name: "gateway",
    async start() {
      await app.ready();
      await port.start();
      log.info(port.address(), "gateway listens");
    },
    async drain(deadline) {
      draining.abort();
      await port.drain(deadline);
    },
    async stop() {
      draining.abort();
      await port.stop();
      await app.close();
    },
  };
  return { parts: [server], address: port.address };
}

async function schemaOfWorkflows(): Promise<Json> {
  const { workflowSchema } = await import("@longhaul/workflow");
  return workflowSchema;
}

/** The gateway as a process of its own, from the environment. */
export function wireGateway(env: Env): Running {
  const config = readConfig(env);
  const log = pinoLogger(config.logLevel, "gateway");
  const ready = readiness();
  const { clients, reach, part: connections } = backends(config);
  const { parts } = gatewayParts({ clients, config, log, ready, reach });
  return { parts: [connections, ...parts], drainMs: config.drainMs, log, ready };
}
