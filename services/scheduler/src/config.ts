import { type Env, readEnv, readInternalToken } from "@longhaul/shared";

/** What a scheduler process is told by its environment. */
export interface SchedulerConfig {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly drainMs: number;
  readonly mongodbUrl: string;
  readonly natsUrl: string;
  readonly natsReplicas: number;
  readonly notifierUrl: string;
  readonly secretKeys: readonly Uint8Array[];
  readonly internalToken: string;
  readonly leaseMs: number;
  readonly sweepMs: number;
  readonly maxTries: number;
  readonly dispatchWindow: number;
  readonly maxValueBytes: number;
  readonly retentionMs: number;
  /** Without a slash at its end; empty when not set. */
  readonly publicUrl: string;
}

export function readConfig(env: Env): SchedulerConfig {
  return readEnv(env, (vars) => {
    const secretKeys = vars.secretKeys("SECRET_KEY");
    if (secretKeys.length === 0)
      vars.fault("SECRET_KEY", "is required: webhook secrets are stored encrypted; `openssl rand -base64 32` makes one");
    return {
      host: vars.text("HOST"),
      port: vars.int("PORT"),
      logLevel: vars.text("LOG_LEVEL"),
      drainMs: vars.int("DRAIN_MS"),
      mongodbUrl: vars.url("MONGODB_URL"),
      natsUrl: vars.url("NATS_URL"),
      natsReplicas: vars.int("NATS_REPLICAS"),
      notifierUrl: vars.url("NOTIFIER_URL"),
      secretKeys,
      internalToken: readInternalToken(vars),
      leaseMs: vars.int("LEASE_MS"),
      sweepMs: vars.int("SWEEP_MS"),
      maxTries: vars.int("MAX_TRIES"),
      dispatchWindow: vars.int("DISPATCH_WINDOW"),
      maxValueBytes: vars.int("MAX_BODY_BYTES"),
      retentionMs: vars.int("RETENTION_MS"),
      publicUrl: (vars.optionalUrl("PUBLIC_URL") ?? "").replace(/\/+$/, ""),
    };
  });
}
