import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { directClient, silentLogger } from "@longhaul/shared";
import { afterAll, beforeAll, expect, test } from "vitest";
import { acme, type StartedScheduler, startScheduler } from "../../testing/start-scheduler.ts";

let self: StartedScheduler;
let connections: ReturnType<typeof clientOf>;
const clientOf = ({ scheduler }: StartedScheduler) =>
  directClient(ConnectionService, scheduler.services.connection, { log: silentLogger });
beforeAll(async () => {
  self = await startScheduler();
  connections = clientOf(self);
});
afterAll(() => self.stop());

const full = {
  name: "default",
  kind: "openai",
  baseUrl: "https://models.test/v1/",
  apiKey: "sk-1234567890",
  defaultModel: "small",
  allowedModels: ["small", "large"],
  concurrency: 4,
  requestsPerMinute: 60,
  tokensPerMinute: 100_000,
  headers: { "x-team": "research" },
  timeout: durationFromMs(30_000),
};

const stored = async (name: string) =>
  (await self.stores.resources.get([{ project: "acme", kind: "connection", name }]))[0]?.resource;

test("a connection is shown as it was put, without its key", async () => {
  const { connection } = await connections.put({ connection: full }, acme);
  expect(connection).toMatchObject({ ...full, baseUrl: "https://models.test/v1", apiKey: "", hasApiKey: true });
  expect((await connections.get({ name: "default" }, acme)).connection).toEqual(connection);
  expect((await connections.list({}, acme)).connections).toEqual([connection]);
  expect((await stored("default"))?.json).not.toContain("sk-1234567890");
});

test("without a key in the request the stored one stays; a secret takes its place", async () => {
  await connections.put({ connection: { ...full, name: "kept" } }, acme);
  const changed = await connections.put({ connection: { name: "kept", baseUrl: "http://other.test" } }, acme);
  expect(changed.connection).toMatchObject({ hasApiKey: true, defaultModel: "", concurrency: 0, kind: "openai" });
  expect(changed.connection?.timeout).toEqual(durationFromMs(600_000));
  const named = await connections.put({ connection: { name: "kept", baseUrl: "http://other.test", secret: "MODEL_KEY" } }, acme);
  expect(named.connection).toMatchObject({ hasApiKey: false, secret: "MODEL_KEY" });
  expect((await stored("kept"))?.json).not.toContain("sealedApiKey");
});

test("a server that wants no key gets none", async () => {
  const { connection } = await connections.put({ connection: { name: "local", baseUrl: "http://127.0.0.1:11434/v1" } }, acme);
  expect(connection).toMatchObject({ hasApiKey: false, secret: "" });
});

test("what is not there is not found, and other projects see nothing", async () => {
  const globex = { headers: { "longhaul-project": "globex" } };
  await connections.put({ connection: { ...full, name: "mine" } }, acme);
  await expect(connections.get({ name: "mine" }, globex)).rejects.toMatchObject({ code: "not_found" });
  await expect(connections.delete({ name: "mine" }, globex)).rejects.toMatchObject({ code: "not_found" });
  expect((await connections.list({}, globex)).connections).toEqual([]);
  await connections.delete({ name: "mine" }, acme);
  await expect(connections.delete({ name: "mine" }, acme)).rejects.toMatchObject({ code: "not_found" });
});

test("lists come by pages", async () => {
  const project = { headers: { "longhaul-project": "paged" } };
  for (const name of ["c", "a", "b"]) await connections.put({ connection: { name, baseUrl: "http://x.test" } }, project);
  const first = await connections.list({ pageSize: 2 }, project);
  const second = await connections.list({ pageSize: 2, pageToken: first.nextPageToken }, project);
  expect([...first.connections, ...second.connections].map(({ name }) => name)).toEqual(["a", "b", "c"]);
  expect(second.nextPageToken).toBe("");
});

const tooMany = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`x-${i}`, "v"]));
test.each([
  [{ name: "a b" }, "/name"],
  [{ kind: "other" }, "/kind"],
  [{ baseUrl: "" }, "/baseUrl"],
  [{ baseUrl: "ftp://x.test" }, "/baseUrl"],
  [{ baseUrl: "https://user:pass@x.test" }, "/baseUrl"],
  [{ baseUrl: "https://x.test/v1?key=1" }, "/baseUrl"],
  [{ secret: "KEY" }, "/secret"],
  [{ apiKey: "", secret: "no-name" }, "/secret"],
  [{ apiKey: "line\nbreak" }, "/apiKey"],
  [{ apiKey: " spaced" }, "/apiKey"],
  [{ defaultModel: "huge" }, "/defaultModel"],
  [{ allowedModels: ["small", "two words"] }, "/allowedModels/1"],
  [{ allowedModels: Array.from({ length: 101 }, (_, i) => `m${i}`), defaultModel: "" }, "/allowedModels"],
  [{ concurrency: -1 }, "/concurrency"],
  [{ requestsPerMinute: -1 }, "/requestsPerMinute"],
  [{ tokensPerMinute: -1 }, "/tokensPerMinute"],
  [{ headers: { Authorization: "Bearer x" } }, "/headers/Authorization"],
  [{ headers: { "bad name": "x" } }, "/headers/bad name"],
  [{ headers: { "x-a": "a\r\nb: c" } }, "/headers/x-a"],
  [{ headers: tooMany }, "/headers"],
  [{ timeout: durationFromMs(10) }, "/timeout"],
])("what can't be stored is refused with its place, without a word of the key: %#", async (change, pointer) => {
  const fault = await connections.put({ connection: { ...full, name: "bad", ...change } }, acme).catch((error: unknown) => error);
  expect(fault).toMatchObject({ code: "invalid_argument", faults: [{ pointer }] });
  expect(JSON.stringify(fault)).not.toContain("sk-1234567890");
  expect(await stored("bad")).toBeUndefined();
});

test("a request without a connection says so", async () => {
  await expect(connections.put({}, acme)).rejects.toMatchObject({ faults: [{ pointer: "/connection" }] });
});
