import { expect, test } from "vitest";
import { isLoopbackHost, requireOffLoopback } from "./off-loopback.ts";
import { type Env, readEnv } from "./read-env.ts";
import { settingsPage } from "./settings-page.ts";

const whole = (env: Env) =>
  readEnv(env, (vars) => ({
    port: vars.int("PORT"),
    level: vars.text("LOG_LEVEL"),
    mongo: vars.url("MONGODB_URL"),
    scheduler: vars.optionalUrl("SCHEDULER_URL"),
    token: vars.text("INTERNAL_TOKEN"),
    allow: vars.cidrs("OUTBOUND_ALLOW"),
    keys: vars.secretKeys("SECRET_KEY"),
    apiKeys: vars.apiKeys("API_KEYS"),
    origins: vars.list("CORS_ORIGINS"),
    dir: vars.optional("DATA_DIR"),
  }));

const good = { MONGODB_URL: "mongodb://a:1,b:2/longhaul?replicaSet=rs", INTERNAL_TOKEN: "0123456789abcdef" };

test("defaults come from the table and an empty variable counts as unset", () => {
  expect(whole({ ...good, PORT: " ", OUTBOUND_ALLOW: "" })).toEqual({
    port: 8080,
    level: "info",
    mongo: good.MONGODB_URL,
    scheduler: undefined,
    token: good.INTERNAL_TOKEN,
    allow: [],
    keys: [],
    apiKeys: [],
    origins: [],
    dir: "./data",
  });
});

test("values are read by their kind", () => {
  const key = Buffer.alloc(32, 7);
  const config = whole({
    ...good,
    PORT: "9000",
    OUTBOUND_ALLOW: "10.0.0.0/8, ::1",
    SECRET_KEY: `${key.toString("base64")},${key.toString("hex")}`,
    API_KEYS: "a=lh_0123456789abcdef, b=lh_fedcba9876543210",
    CORS_ORIGINS: "https://a.example,https://b.example",
  });
  expect(config).toMatchObject({
    port: 9000,
    allow: ["10.0.0.0/8", "::1"],
    apiKeys: [
      { project: "a", key: "lh_0123456789abcdef" },
      { project: "b", key: "lh_fedcba9876543210" },
    ],
    origins: ["https://a.example", "https://b.example"],
  });
  expect(config.keys.map((k) => Buffer.from(k).equals(key))).toEqual([true, true]);
});

test("every fault is told in one go, and none quotes a secret", () => {
  const env = {
    PORT: "70000",
    LOG_LEVEL: "loud",
    MONGODB_URL: "http://user:hunter2@host",
    SCHEDULER_URL: "not a url",
    OUTBOUND_ALLOW: "10.0.0.0/33,300.1.1.1,10.0.0.0/8/9",
    SECRET_KEY: "c2hvcnQ=,hunter3,x",
    API_KEYS: "project=lh_hunter4",
  };
  let caught: unknown;
  try {
    whole(env);
  } catch (error) {
    caught = error;
  }
  expect(caught).toMatchObject({ code: "invalid_argument" });
  const { message, faults } = caught as { message: string; faults: { pointer: string }[] };
  expect(new Set(faults.map((fault) => fault.pointer))).toEqual(
    new Set([
      "/PORT",
      "/LOG_LEVEL",
      "/MONGODB_URL",
      "/SCHEDULER_URL",
      "/INTERNAL_TOKEN",
      "/OUTBOUND_ALLOW",
      "/SECRET_KEY",
      "/API_KEYS",
    ]),
  );
  expect(message).toContain('PORT: "70000" is not a whole number from 0 to 65535');
  expect(message).toContain("INTERNAL_TOKEN: is required");
  expect(message).not.toMatch(/hunter|c2hvcnQ/);
});

test.each(["1e3", "0x10", "8080.5", "-1", "NaN", "9".repeat(30)])("PORT=%s is refused", (PORT) => {
  expect(() => whole({ ...good, PORT })).toThrow(/PORT: .* is not a whole number/);
});

test("a fault of the whole configuration is told like any other", () => {
  expect(() => readEnv({}, (vars) => vars.fault("HOST", "no"))).toThrow("HOST: no");
});

test.each([
  ["127.0.0.1", true],
  ["127.9.9.9", true],
  ["::1", true],
  ["[::1]", true],
  ["LOCALHOST", true],
  ["0.0.0.0", false],
  ["::", false],
  ["10.0.0.1", false],
  ["example.com", false],
  ["127.0.0.1.example.com", false],
])("%s is loopback: %s", (host, is) => {
  expect(isLoopbackHost(host)).toBe(is);
});

test("off loopback each missing variable is named, on loopback nothing is asked", () => {
  expect(requireOffLoopback("127.0.0.1", { SECRET_KEY: false, API_KEYS: false })).toEqual([]);
  expect(requireOffLoopback("0.0.0.0", { SECRET_KEY: true, API_KEYS: false })).toEqual([
    "HOST is 0.0.0.0, which others can reach: set API_KEYS as well, or listen on 127.0.0.1",
  ]);
});

test("docs/configuration.md is what the table says", async () => {
  await expect(settingsPage()).toMatchFileSnapshot("../../../../docs/configuration.md");
});
