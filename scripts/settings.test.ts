import { expect, test } from "vitest";
import { type ServiceName, settings } from "../packages/shared/src/index.ts";
import { readConfig as executor } from "../services/executor/src/config.ts";
import { readConfig as gateway } from "../services/gateway/src/config.ts";
import { gatewayConfigOf } from "../services/gateway/src/index.ts";
import { readConfig as notifier } from "../services/notifier/src/config.ts";
import { readConfig as scheduler } from "../services/scheduler/src/config.ts";
import { readConfig as solo } from "../services/solo/src/config.ts";

const given: Readonly<Record<string, string>> = {
  MONGODB_URL: "mongodb://127.0.0.1/longhaul",
  NATS_URL: "nats://127.0.0.1",
  SCHEDULER_URL: "http://127.0.0.1:1",
  NOTIFIER_URL: "http://127.0.0.1:2",
  SECRET_KEY: "0".repeat(64),
  INTERNAL_TOKEN: "0123456789abcdef",
};

const readers: Readonly<Record<ServiceName, (env: Readonly<Record<string, string | undefined>>) => unknown>> = {
  gateway,
  scheduler,
  executor,
  notifier,
  solo: (env) => solo(env, gatewayConfigOf),
};

test.each(Object.keys(readers) as ServiceName[])("%s reads exactly the variables that the table of settings says", (service) => {
  const read = new Set<string>();
  const env = new Proxy(given, {
    get(target, name) {
      read.add(String(name));
      return target[String(name)];
    },
  });
  readers[service](env);
  const listed = Object.entries(settings).filter(([, setting]) => (setting.services as readonly string[]).includes(service));
  expect([...read].sort()).toStrictEqual(listed.map(([name]) => name).sort());
});
