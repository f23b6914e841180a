import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { directClient, silentLogger } from "@longhaul/shared";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acme, jsonOf, type StartedScheduler, startScheduler, success } from "../../testing/start-scheduler.ts";

let self: StartedScheduler;
let taskId: string;
const executor = "executor-1";
const key = "0123456789abcdef".repeat(4);
const globex = { headers: { "longhaul-project": "globex" } };
const hold = (more: { readonly attempt?: number; readonly project?: string; readonly taskId?: string } = {}) => ({
  taskId,
  attempt: 1,
  project: "acme",
  ...more,
});

beforeEach(async () => {
  self = await startScheduler();
  const secrets = directClient(SecretService, self.scheduler.services.secret, { log: silentLogger });
  await secrets.put({ name: "KEY", value: "of-acme-1" }, acme);
  await secrets.put({ name: "KEY", value: "of-globex" }, globex);
  const connections = directClient(ConnectionService, self.scheduler.services.connection, { log: silentLogger });
  await connections.put(
    { connection: { name: "own", baseUrl: "http://m.test/", apiKey: "sk-own-key", headers: { "x-a": "b" } } },
    acme,
  );
  await connections.put({ connection: { name: "named", baseUrl: "http://m.test", secret: "KEY", defaultModel: "small" } }, acme);
  await connections.put({ connection: { name: "broken", baseUrl: "http://m.test", secret: "NOPE" } }, acme);
  await connections.put({ connection: { name: "theirs", baseUrl: "http://m.test", apiKey: "sk-their-key" } }, globex);
  taskId = await self.accepted();
  expect(await self.claim(taskId)).toBe(true);
});
afterEach(() => self.stop());

test("the holder of a task reads the secrets of its project; what does not exist is absent", async () => {
  const { values } = await self.execution.readSecrets({ hold: hold(), executor, names: ["KEY", "NOPE", "no/name"] });
  expect(values).toEqual({ KEY: "of-acme-1" });
  const names = Array.from({ length: 1_001 }, (_, i) => `N${i}`);
  await expect(self.execution.readSecrets({ hold: hold(), executor, names })).rejects.toMatchObject({ code: "invalid_argument" });
});

test("the holder of a task reads connections with their keys, wherever those come from", async () => {
  const own = await self.execution.readConnection({ hold: hold(), executor, name: "own" });
  expect(own).toMatchObject({
    name: "own",
    kind: "openai",
    baseUrl: "http://m.test",
    apiKey: "sk-own-key",
    headers: { "x-a": "b" },
  });
  const named = await self.execution.readConnection({ hold: hold(), executor, name: "named" });
  expect(named).toMatchObject({ apiKey: "of-acme-1", defaultModel: "small", missingSecret: "" });
  const broken = await self.execution.readConnection({ hold: hold(), executor, name: "broken" });
  expect(broken).toMatchObject({ apiKey: "", missingSecret: "NOPE" });
  await expect(self.execution.readConnection({ hold: hold(), executor, name: "theirs" })).rejects.toMatchObject({
    code: "not_found",
  });
});

describe("nobody else reads or keeps anything", () => {
  const callers: Record<string, () => { hold?: ReturnType<typeof hold>; executor: string }> = {
    "another attempt": () => ({ hold: hold({ attempt: 2 }), executor }),
    "another process": () => ({ hold: hold(), executor: "executor-2" }),
    "another project": () => ({ hold: hold({ project: "globex" }), executor }),
    "a task that does not exist": () => ({ hold: hold({ taskId: "01930000-0000-7000-8000-ffffffffffff" }), executor }),
  };
  test.each(Object.entries(callers))("%s", async (_, caller) => {
    const lost = { code: "precondition_failed" };
    await expect(self.execution.readSecrets({ ...caller(), names: ["KEY"] })).rejects.toMatchObject(lost);
    await expect(self.execution.readConnection({ ...caller(), name: "own" })).rejects.toMatchObject(lost);
    await expect(self.execution.readCache({ ...caller(), key })).rejects.toMatchObject(lost);
    const write = { ...caller(), key, valueJson: jsonOf(1), ttl: durationFromMs(1_000) };
    await expect(self.execution.writeCache(write)).rejects.toMatchObject(lost);
  });

  test("a hold that is not named", async () => {
    await expect(self.execution.readSecrets({ executor, names: ["KEY"] })).rejects.toMatchObject({ code: "invalid_argument" });
  });

  test("the holder of before, once its task has ended", async () => {
    await self.report(taskId, { outcome: success({}) });
    await expect(self.execution.readSecrets({ hold: hold(), executor, names: ["KEY"] })).rejects.toMatchObject({
      code: "precondition_failed",
    });
  });
});

test("a kept result is read until its time is over, by its project alone", async () => {
  const write = { hold: hold(), executor, key, ttl: durationFromMs(60_000) };
  expect((await self.execution.readCache({ hold: hold(), executor, key })).valueJson).toBeUndefined();
  await self.execution.writeCache({ ...write, valueJson: jsonOf({ a: [1, null] }) });
  const read = async () => {
    const { valueJson } = await self.execution.readCache({ hold: hold(), executor, key });
    return valueJson === undefined ? undefined : JSON.parse(Buffer.from(valueJson).toString());
  };
  expect(await read()).toEqual({ a: [1, null] });
  await self.execution.writeCache({ ...write, valueJson: jsonOf("anew") });
  expect(await read()).toBe("anew");
  const [stored] = await self.stores.resources.get([{ project: "acme", kind: "cache", name: key }]);
  if (stored === undefined) throw new Error("not kept");
  await self.stores.resources.replace({ ...stored.resource, wakeAt: 1 }, stored.rev);
  expect(await read()).toBeUndefined();
});

test("a result that comes behind the report that ends its task is kept as well", async () => {
  await self.report(taskId, { outcome: success({}) });
  const write = { executor, key, valueJson: jsonOf("late"), ttl: durationFromMs(60_000) };
  await self.execution.writeCache({ ...write, hold: hold() });
  await expect(self.execution.writeCache({ ...write, hold: hold({ attempt: 2 }) })).rejects.toMatchObject({
    code: "precondition_failed",
  });
  const [stored] = await self.stores.resources.get([{ project: "acme", kind: "cache", name: key }]);
  expect(stored?.resource.json).toBe('"late"');
});

test("what is too large, badly named or kept too long is refused", async () => {
  const ttl = durationFromMs(1_000);
  const write = (more: object) => self.execution.writeCache({ hold: hold(), executor, key, valueJson: jsonOf(1), ttl, ...more });
  await expect(write({ valueJson: jsonOf("x".repeat(49_151)) })).rejects.toMatchObject({ code: "too_large" });
  await expect(write({ key: "short" })).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(write({ ttl: durationFromMs(0) })).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(write({ ttl: durationFromMs(367 * 86_400_000) })).rejects.toMatchObject({ code: "invalid_argument" });
  await write({ valueJson: jsonOf("x".repeat(49_150)) });
});
