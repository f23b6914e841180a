import { SecretService } from "@longhaul/proto/secret_service";
import { directClient, silentLogger } from "@longhaul/shared";
import { afterAll, beforeAll, expect, test } from "vitest";
import { acme, type StartedScheduler, startScheduler } from "../../testing/start-scheduler.ts";

let self: StartedScheduler;
let secrets: ReturnType<typeof clientOf>;
const clientOf = ({ scheduler }: StartedScheduler) =>
  directClient(SecretService, scheduler.services.secret, { log: silentLogger });
const globex = { headers: { "longhaul-project": "globex" } };
beforeAll(async () => {
  self = await startScheduler();
  secrets = clientOf(self);
});
afterAll(() => self.stop());

test("a secret is stored sealed, and no answer holds its value", async () => {
  const put = await secrets.put({ name: "API_KEY", value: "s3cr3t-value", description: "of the model server" }, acme);
  expect(put.secret).toMatchObject({ name: "API_KEY", description: "of the model server" });
  const listed = await secrets.list({}, acme);
  expect(listed.secrets).toEqual([put.secret]);
  expect(JSON.stringify([put, listed], (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
    "s3cr3t",
  );
  const [stored] = await self.stores.resources.get([{ project: "acme", kind: "secret", name: "API_KEY" }]);
  expect(stored?.resource.json).toMatch(/"v1\./);
  expect(stored?.resource.json).not.toContain("s3cr3t");
});

test("a new value replaces the old one and keeps when it was first stored", async () => {
  const first = (await secrets.put({ name: "TURNED", value: "one-value" }, acme)).secret;
  const [before] = await self.stores.resources.get([{ project: "acme", kind: "secret", name: "TURNED" }]);
  const second = (await secrets.put({ name: "TURNED", value: "two-value" }, acme)).secret;
  const [after] = await self.stores.resources.get([{ project: "acme", kind: "secret", name: "TURNED" }]);
  expect(second?.createTime).toEqual(first?.createTime);
  expect(after?.resource.uid).toBe(before?.resource.uid);
  expect(after?.resource.json).not.toBe(before?.resource.json);
});

test("writers at the same time all get through", async () => {
  const values = ["a-value", "b-value", "c-value", "d-value"];
  await Promise.all(values.map((value) => secrets.put({ name: "RACED", value }, acme)));
  const { secrets: listed } = await secrets.list({}, acme);
  expect(listed.filter(({ name }) => name === "RACED")).toHaveLength(1);
});

test("a project sees its own secrets, by name and by pages", async () => {
  for (const name of ["C", "A", "B"]) await secrets.put({ name, value: "of-globex" }, globex);
  const first = await secrets.list({ pageSize: 2 }, globex);
  expect(first.secrets.map(({ name }) => name)).toEqual(["A", "B"]);
  const second = await secrets.list({ pageSize: 2, pageToken: first.nextPageToken }, globex);
  expect([second.secrets.map(({ name }) => name), second.nextPageToken]).toEqual([["C"], ""]);
  await expect(secrets.list({ pageToken: "nonsense" }, globex)).rejects.toMatchObject({ code: "invalid_argument" });
});

test("a deleted one is gone; what is not there can't be deleted", async () => {
  await secrets.put({ name: "GONE", value: "soon-gone" }, acme);
  await expect(secrets.delete({ name: "GONE" }, globex)).rejects.toMatchObject({ code: "not_found" });
  await secrets.delete({ name: "GONE" }, acme);
  await expect(secrets.delete({ name: "GONE" }, acme)).rejects.toMatchObject({ code: "not_found" });
  expect((await secrets.list({}, acme)).secrets.map(({ name }) => name)).not.toContain("GONE");
});

test.each([
  [{ name: "", value: "x" }, "/name"],
  [{ name: "1A", value: "x" }, "/name"],
  [{ name: "a-b", value: "x" }, "/name"],
  [{ name: "a/b", value: "x" }, "/name"],
  [{ name: "A".repeat(129), value: "x" }, "/name"],
  [{ name: "A", value: "" }, "/value"],
  [{ name: "A", value: "ü".repeat(16_385) }, "/value"],
  [{ name: "A", value: "x", description: "d".repeat(1_025) }, "/description"],
])("what can't be stored is refused with its place and changes nothing: %#", async (request, pointer) => {
  const before = await secrets.list({}, acme);
  const fault = await secrets.put(request, acme).catch((error: unknown) => error);
  expect(fault).toMatchObject({ code: "invalid_argument", faults: [{ pointer }] });
  expect(await secrets.list({}, acme)).toEqual(before);
});

test("the largest value fits", async () => {
  await secrets.put({ name: "LARGE", value: "x".repeat(32_768), description: "ü".repeat(1_024) }, acme);
  expect((await secrets.list({ pageSize: 500 }, acme)).secrets.map(({ name }) => name)).toContain("LARGE");
});
