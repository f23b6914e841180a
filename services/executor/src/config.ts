import { type Env, readEnv, readInternalToken } from "@longhaul/shared";

/** What an executor process is told by its environment. */
export interface ExecutorConfig {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly drainMs: number;
  readonly natsUrl: string;
  readonly natsReplicas: number;
  readonly schedulerUrl: string;
  readonly internalToken: string;
  readonly concurrency: number;
  readonly dispatchWindow: number;
  readonly outboundAllow: readonly string[];
  readonly maxValueBytes: number;
}

export function readConfig(env: Env): ExecutorConfig {
  return readEnv(env, (vars) => ({
    host: vars.text("HOST"),
    port: vars.int("PORT"),
    logLevel: vars.text("LOG_LEVEL"),
    drainMs: vars.int("DRAIN_MS"),
    natsUrl: vars.url("NATS_URL"),
    natsReplicas: vars.int("NATS_REPLICAS"),
    schedulerUrl: vars.url("SCHEDULER_URL"),
    internalToken: readInternalToken(vars),
    concurrency: vars.int("EXECUTOR_CONCURRENCY"),
    // Whoever starts first makes the stream, so both must ask for the same one.
    dispatchWindow: vars.int("DISPATCH_WINDOW"),
    outboundAllow: vars.cidrs("OUTBOUND_ALLOW"),
    maxValueBytes: vars.int("MAX_BODY_BYTES"),
  }));
}
