import { type ApiKeySetting, type Env, readEnv, readInternalToken, requireOffLoopback, type Vars } from "@longhaul/shared";

/** What the gateway needs to know, wherever it runs. */
export interface GatewayConfig {
  readonly host: string;
  readonly port: number;
  readonly apiKeys: readonly ApiKeySetting[];
  readonly corsOrigins: readonly string[];
  readonly maxBodyBytes: number;
  readonly maxHeldBytes: number;
}

/** The gateway as a process of its own. */
export interface GatewayProcessConfig extends GatewayConfig {
  readonly logLevel: string;
  readonly drainMs: number;
  readonly schedulerUrl: string;
  readonly notifierUrl: string;
  readonly internalToken: string;
}

/** The part that solo has in common; notes a fault for what may not be missing off loopback. */
export function gatewayConfigOf(vars: Vars): GatewayConfig {
  const host = vars.optional("HOST") ?? "127.0.0.1";
  const apiKeys = vars.apiKeys("API_KEYS");
  for (const sentence of requireOffLoopback(host, { API_KEYS: apiKeys.length > 0 })) vars.fault("API_KEYS", sentence);
  return {
    host,
    port: vars.int("PORT"),
    apiKeys,
    corsOrigins: vars.list("CORS_ORIGINS"),
    maxBodyBytes: vars.int("MAX_BODY_BYTES"),
    maxHeldBytes: vars.int("MAX_HELD_BYTES"),
  };
}

/** Reads the process's configuration. Throws a LonghaulError that names every fault. */
export function readConfig(env: Env): GatewayProcessConfig {
  return readEnv(env, (vars) => {
    const internalToken = readInternalToken(vars);
    return {
      ...gatewayConfigOf(vars),
      logLevel: vars.text("LOG_LEVEL"),
      drainMs: vars.int("DRAIN_MS"),
      schedulerUrl: vars.url("SCHEDULER_URL"),
      notifierUrl: vars.url("NOTIFIER_URL"),
      internalToken,
    };
  });
}
