/** The processes that read settings. */
export type ServiceName = "gateway" | "scheduler" | "executor" | "notifier" | "solo";

interface SettingBase {
  /** What it is for, in one line. */
  readonly about: string;
  readonly services: readonly ServiceName[];
  /** Its value must never be printed. */
  readonly secret?: true;
}

/** One environment variable. A setting without `or` is unset by default; whether that is an error is up to who reads it. */
export type Setting = SettingBase &
  (
    | { readonly kind: "text"; readonly or?: string }
    | { readonly kind: "url"; readonly schemes: readonly string[]; readonly or?: string }
    | { readonly kind: "int"; readonly unit: string; readonly min: number; readonly max: number; readonly or: number }
    | { readonly kind: "bool"; readonly or: boolean }
    | { readonly kind: "choice"; readonly choices: readonly string[]; readonly or: string }
    | { readonly kind: "list" }
    | { readonly kind: "cidrs" }
    | { readonly kind: "secretKeys" }
    | { readonly kind: "apiKeys" }
  );

const all = ["gateway", "scheduler", "executor", "notifier", "solo"] as const;

/** Every environment variable that Longhaul reads; docs/configuration.md is made from this table. */
export const settings = {
  HOST: {
    kind: "text",
    or: "127.0.0.1",
    services: all,
    about: "Address to listen on; off loopback `SECRET_KEY` and `API_KEYS` are required.",
  },
  PORT: {
    kind: "int",
    unit: "port",
    min: 0,
    max: 65_535,
    or: 8080,
    services: all,
    about: "Port to listen on, for HTTP/1.1, HTTP/2, gRPC, gRPC-Web and Connect alike; 0 takes a free one.",
  },
  LOG_LEVEL: {
    kind: "choice",
    choices: ["debug", "info", "warn", "error", "silent"],
    or: "info",
    services: all,
    about: "Least level that is logged.",
  },
  DRAIN_MS: {
    kind: "int",
    unit: "ms",
    min: 0,
    max: 300_000,
    or: 25_000,
    services: all,
    about: "How long work under way may go on after SIGTERM.",
  },
  DATA_DIR: { kind: "text", or: "./data", services: ["solo"], about: "Folder of the SQLite file; made when missing." },
  MONGODB_URL: {
    kind: "url",
    schemes: ["mongodb:", "mongodb+srv:"],
    secret: true,
    services: ["scheduler", "notifier"],
    about: "MongoDB replica set or sharded cluster, with the database's name in the path.",
  },
  NATS_URL: {
    kind: "url",
    schemes: ["nats:", "tls:"],
    secret: true,
    services: ["scheduler", "executor"],
    about: "NATS server with JetStream.",
  },
  NATS_REPLICAS: {
    kind: "int",
    unit: "servers",
    min: 1,
    max: 5,
    or: 1,
    services: ["scheduler", "executor"],
    about: "On how many NATS servers the ticket stream is kept.",
  },
  SCHEDULER_URL: {
    kind: "url",
    schemes: ["http:", "https:"],
    services: ["gateway", "executor", "notifier"],
    about: "Where the schedulers answer; every address of the name is used.",
  },
  NOTIFIER_URL: {
    kind: "url",
    schemes: ["http:", "https:"],
    services: ["gateway", "scheduler"],
    about: "Where the notifiers answer; every address of the name is used.",
  },
  SECRET_KEY: {
    kind: "secretKeys",
    secret: true,
    services: ["scheduler", "notifier", "solo"],
    about: "32 bytes in base64 or hex that encrypt stored secrets; while rotating two, comma separated, the new one first.",
  },
  INTERNAL_TOKEN: {
    kind: "text",
    secret: true,
    services: ["gateway", "scheduler", "executor", "notifier"],
    about: "Shared by all services, which prove themselves to each other with it; at least 16 characters.",
  },
  API_KEYS: {
    kind: "apiKeys",
    secret: true,
    services: ["gateway", "solo"],
    about: "`project=lh_...`, comma separated; without any, only loopback is served and everything belongs to project `default`.",
  },
  CORS_ORIGINS: {
    kind: "list",
    services: ["gateway", "solo"],
    about: "Origins whose web pages may call the API, comma separated; none by default.",
  },
  PUBLIC_URL: {
    kind: "url",
    schemes: ["http:", "https:"],
    services: ["scheduler", "solo"],
    about:
      "Where the outside reaches the gateway; resume links and callbacks begin with it. Solo takes its own address; without it a cluster's links begin with `/v1/`.",
  },
  OUTBOUND_ALLOW: {
    kind: "cidrs",
    services: ["executor", "notifier", "solo"],
    about:
      "Networks (CIDR, comma separated) that nodes and webhooks may call although they are private; solo on loopback adds loopback.",
  },
  LEASE_MS: {
    kind: "int",
    unit: "ms",
    min: 1_000,
    max: 600_000,
    or: 30_000,
    services: ["scheduler", "solo"],
    about: "How long an executor holds a task, and a worker a job, without a heartbeat; in production at least 15,000.",
  },
  SWEEP_MS: {
    kind: "int",
    unit: "ms",
    min: 10,
    max: 60_000,
    or: 1_000,
    services: ["scheduler", "notifier", "solo"],
    about: "How often what is due is looked for.",
  },
  MAX_TRIES: {
    kind: "int",
    unit: "tries",
    min: 1,
    max: 100,
    or: 5,
    services: ["scheduler", "solo"],
    about: "How many executors may lose a task without any node result before it fails, and how many workers a job.",
  },
  DISPATCH_WINDOW: {
    kind: "int",
    unit: "tickets",
    min: 1,
    max: 100_000,
    or: 512,
    services: ["scheduler", "executor", "solo"],
    about: "Unclaimed tickets per partition; further tasks wait in the store, in order.",
  },
  EXECUTOR_CONCURRENCY: {
    kind: "int",
    unit: "tasks",
    min: 1,
    max: 10_000,
    or: 256,
    services: ["executor", "solo"],
    about: "Tasks that one executor runs side by side.",
  },
  RETENTION_MS: {
    kind: "int",
    unit: "ms",
    min: 1_000,
    max: 31_536_000_000,
    or: 2_592_000_000,
    services: ["scheduler", "notifier", "solo"],
    about: "How long ended tasks and deliveries are kept; 30 days by default.",
  },
  MAX_BODY_BYTES: {
    kind: "int",
    unit: "bytes",
    min: 1_024,
    max: 67_108_864,
    or: 16_777_216,
    services: ["gateway", "scheduler", "executor", "solo"],
    about: "Largest request body, and largest single value of a task.",
  },
  MAX_HELD_BYTES: {
    kind: "int",
    unit: "bytes",
    min: 1_048_576,
    max: 17_179_869_184,
    or: 134_217_728,
    services: ["gateway", "solo"],
    about: "Request bytes that one process holds at a time; beyond it callers get 503.",
  },
  WEBHOOK_ATTEMPTS: {
    kind: "int",
    unit: "attempts",
    min: 1,
    max: 20,
    or: 8,
    services: ["notifier", "solo"],
    about: "Attempts per webhook message before it is exhausted; 8 take about 28 hours.",
  },
  WEBHOOK_RETRY_SCALE: {
    kind: "int",
    unit: "percent",
    min: 1,
    max: 1_000,
    or: 100,
    services: ["notifier", "solo"],
    about: "Scales every pause between webhook attempts, for trying things out; 100 is as documented.",
  },
  WEBHOOK_TIMEOUT_MS: {
    kind: "int",
    unit: "ms",
    min: 100,
    max: 120_000,
    or: 15_000,
    services: ["notifier", "solo"],
    about: "Total time of one webhook attempt.",
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

/** Names of the settings of one kind, so that each reader takes only those that it can read. */
export type SettingOf<Kind extends Setting["kind"]> = {
  [Name in SettingName]: (typeof settings)[Name]["kind"] extends Kind ? Name : never;
}[SettingName];
