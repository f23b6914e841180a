import { type Env, readEnv, readInternalToken } from "@longhaul/shared";

/** What a notifier process is told by its environment. */
export interface NotifierConfig {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly drainMs: number;
  readonly mongodbUrl: string;
  readonly schedulerUrl: string;
  readonly secretKeys: readonly Uint8Array[];
  readonly internalToken: string;
  readonly outboundAllow: readonly string[];
  readonly attempts: number;
  readonly retryScalePercent: number;
  readonly timeoutMs: number;
  readonly sweepMs: number;
  readonly retentionMs: number;
}

export function readConfig(env: Env): NotifierConfig {
  return readEnv(env, (vars) => {
    const secretKeys = vars.secretKeys("SECRET_KEY");
    if (secretKeys.length === 0)
      vars.fault("SECRET_KEY", "is required: it opens the webhook secrets that the scheduler has sealed with the same key");
    return {
      host: vars.text("HOST"),
      port: vars.int("PORT"),
      logLevel: vars.text("LOG_LEVEL"),
      drainMs: vars.int("DRAIN_MS"),
      mongodbUrl: vars.url("MONGODB_URL"),
      schedulerUrl: vars.url("SCHEDULER_URL"),
      secretKeys,
      internalToken: readInternalToken(vars),
      outboundAllow: vars.cidrs("OUTBOUND_ALLOW"),
      attempts: vars.int("WEBHOOK_ATTEMPTS"),
      retryScalePercent: vars.int("WEBHOOK_RETRY_SCALE"),
      timeoutMs: vars.int("WEBHOOK_TIMEOUT_MS"),
      sweepMs: vars.int("SWEEP_MS"),
      retentionMs: vars.int("RETENTION_MS"),
    };
  });
}
