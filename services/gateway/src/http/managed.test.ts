import { afterAll, beforeAll, expect, test } from "vitest";
import { type StartedGateway, startGateway } from "../testing/start-gateway.ts";

let gateway: StartedGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => {
  expect(gateway.errors).toEqual([]);
  await gateway[Symbol.asyncDispose]();
});

async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(gateway.url + path, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, body: text === "" ? undefined : JSON.parse(text) };
}

test("a secret is put, listed and deleted over HTTP; no answer holds its value", async () => {
  const put = await call("PUT", "/v1/secrets/API_KEY", { value: "s3cr3t-value", description: "of a server" });
  expect([put.status, put.body]).toMatchObject([200, { name: "API_KEY", description: "of a server" }]);
  expect(gateway.fake.seen.at(-1)).toMatchObject({ method: "PutSecret", request: { name: "API_KEY", value: "s3cr3t-value" } });
  const list = await call("GET", "/v1/secrets?pageSize=10");
  expect([list.status, list.body]).toMatchObject([200, { secrets: [{ name: "API_KEY" }], nextPageToken: "" }]);
  expect(put.text + list.text).not.toContain("s3cr3t");
  expect((await call("DELETE", "/v1/secrets/API_KEY")).status).toBe(200);
  expect(await call("DELETE", "/v1/secrets/API_KEY")).toMatchObject({ status: 404, body: { code: "not_found" } });
});

test("a value that is no text is refused before anybody sees it, and is not repeated", async () => {
  const before = gateway.fake.seen.length;
  const refused = await call("PUT", "/v1/secrets/PIN", { value: { hidden: "s3cr3t-value" } });
  expect([refused.status, refused.body.code]).toEqual([400, "invalid_argument"]);
  expect(refused.text).not.toContain("s3cr3t-value");
  expect(gateway.fake.seen).toHaveLength(before);
});

test("a connection is put by its body, with the name of the path, and shown without its key", async () => {
  const connection = { baseUrl: "https://models.test/v1", apiKey: "sk-12345678", requestsPerMinute: 60, timeout: "30s" };
  const put = await call("PUT", "/v1/connections/default", connection);
  expect([put.status, put.body]).toMatchObject([200, { hasApiKey: true, apiKey: "", requestsPerMinute: 60, timeout: "30s" }]);
  expect(gateway.fake.seen.at(-1)).toMatchObject({ request: { name: "default", connection: { apiKey: "sk-12345678" } } });
  expect((await call("GET", "/v1/connections")).body).toEqual({ connections: [], nextPageToken: "" });
});

test("a workflow is enabled and disabled by verbs of its own", async () => {
  expect(await call("POST", "/v1/workflows/echo:disable")).toMatchObject({ status: 200, body: { name: "echo", enabled: false } });
  expect(await call("POST", "/v1/workflows/echo:enable", {})).toMatchObject({
    status: 200,
    body: { name: "echo", enabled: true },
  });
});
