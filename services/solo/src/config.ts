import { type Env, isLoopbackHost, readEnv, requireOffLoopback, type Vars } from "@longhaul/shared";

/** What the process is told by its environment, beside what the gateway reads. */
export interface SoloConfig {
  readonly logLevel: string;
  readonly drainMs: number;
  readonly dataDir: string;
  /** Empty on loopback without SECRET_KEY: a key file beside the data is used. */
  readonly secretKeys: readonly Uint8Array[];
  readonly outboundAllow: readonly string[];
  readonly leaseMs: number;
  readonly sweepMs: number;
  readonly maxTries: number;
  readonly dispatchWindow: number;
  readonly concurrency: number;
  readonly maxValueBytes: number;
  readonly retentionMs: number;
  readonly webhookAttempts: number;
  readonly webhookRetryScalePercent: number;
  readonly webhookTimeoutMs: number;
  /** Without a slash at its end; absent when not set. */
  readonly publicUrl: string | undefined;
}

const loopback = ["127.0.0.0/8", "::1/128"];

export function readConfig<Gateway>(
  env: Env,
  gatewayConfigOf: (vars: Vars) => Gateway,
): SoloConfig & { readonly gateway: Gateway } {
  return readEnv(env, (vars) => {
    const host = vars.text("HOST");
    const secretKeys = vars.secretKeys("SECRET_KEY");
    for (const sentence of requireOffLoopback(host, { SECRET_KEY: secretKeys.length > 0 })) vars.fault("SECRET_KEY", sentence);
    return {
      gateway: gatewayConfigOf(vars),
      logLevel: vars.text("LOG_LEVEL"),
      drainMs: vars.int("DRAIN_MS"),
      dataDir: vars.text("DATA_DIR"),
      secretKeys,
      // Whoever can reach solo on loopback can reach what else listens there anyway.
      outboundAllow: [...vars.cidrs("OUTBOUND_ALLOW"), ...(isLoopbackHost(host) ? loopback : [])],
      leaseMs: vars.int("LEASE_MS"),
      sweepMs: vars.int("SWEEP_MS"),
      maxTries: vars.int("MAX_TRIES"),
      dispatchWindow: vars.int("DISPATCH_WINDOW"),
      concurrency: vars.int("EXECUTOR_CONCURRENCY"),
      maxValueBytes: vars.int("MAX_BODY_BYTES"),
      retentionMs: vars.int("RETENTION_MS"),
      webhookAttempts: vars.int("WEBHOOK_ATTEMPTS"),
      webhookRetryScalePercent: vars.int("WEBHOOK_RETRY_SCALE"),
      webhookTimeoutMs: vars.int("WEBHOOK_TIMEOUT_MS"),
      publicUrl: vars.optionalUrl("PUBLIC_URL")?.replace(/\/+$/, ""),
    };
  });
}
