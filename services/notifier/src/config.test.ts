import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

const key = Buffer.alloc(32, 1).toString("base64");
const enough = {
  MONGODB_URL: "mongodb://db/longhaul",
  SCHEDULER_URL: "http://scheduler:8080",
  SECRET_KEY: key,
  INTERNAL_TOKEN: "0123456789abcdef",
};

test("what must be set is said in one go", () => {
  expect(() => readConfig({})).toThrow(/MONGODB_URL[\s\S]*SCHEDULER_URL/);
  expect(() => readConfig({})).toThrow(/SECRET_KEY: is required/);
});

test("the internal token is required, whatever the address", () => {
  const { INTERNAL_TOKEN: _, ...without } = enough;
  expect(() => readConfig(without)).toThrow(/INTERNAL_TOKEN/);
  expect(() => readConfig({ ...enough, INTERNAL_TOKEN: "short" })).toThrow(/16/);
});

test("defaults are eight attempts of 15 s", () => {
  expect(readConfig(enough)).toMatchObject({ attempts: 8, timeoutMs: 15_000, sweepMs: 1_000, outboundAllow: [] });
});
