import { request } from "node:http";
import { LonghaulError } from "@longhaul/core";
import { expect, test } from "vitest";
import { startGateway } from "../testing/start-gateway.ts";
import { authenticateBy } from "./api-keys.ts";
import { originGuard } from "./origin-guard.ts";

const key = "lh_0123456789abcdef";
const other = "lh_fedcba9876543210";

test.each([
  [{ authorization: `Bearer ${key}` }, "acme"],
  [{ authorization: `bearer   ${other} ` }, "beta"],
  [{ "x-api-key": other }, "beta"],
  [{ "x-api-key": key, authorization: `Bearer ${key}` }, "acme"],
])("%j acts in project %s", (headers: Readonly<Record<string, string>>, project) => {
  const authenticate = authenticateBy([
    { project: "acme", key },
    { project: "beta", key: other },
  ]);
  expect(authenticate((name) => headers[name])).toBe(project);
});

test.each([
  {},
  { authorization: "Bearer" },
  { authorization: `Basic ${key}` },
  { authorization: key },
  { authorization: "Bearer lh_wrong" },
  { "x-api-key": "" },
  { "x-api-key": `${key} ` },
  { "x-api-key": other, authorization: `Bearer ${key}` },
])("%j is not authenticated", (headers: Readonly<Record<string, string>>) => {
  const authenticate = authenticateBy([
    { project: "acme", key },
    { project: "beta", key: other },
  ]);
  expect(() => authenticate((name) => headers[name])).toThrow(LonghaulError);
});

test("without a key HTTP answers 401 with WWW-Authenticate, before the body is read; forged internal headers do nothing", async () => {
  await using gateway = await startGateway({ config: { apiKeys: [{ project: "acme", key }] } });
  const res = await fetch(`${gateway.url}/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json", "longhaul-project": "acme" },
    body: "{",
  });
  expect(res.status).toBe(401);
  expect(res.headers.get("www-authenticate")).toMatch(/^Bearer/);
  expect(await res.json()).toMatchObject({ code: "unauthenticated" });
  const ok = await fetch(`${gateway.url}/v1/tasks`, {
    headers: { authorization: `Bearer ${key}`, "longhaul-project": "victim" },
  });
  expect(ok.status).toBe(200);
  expect(gateway.fake.seen.at(-1)?.project).toBe("acme");
  expect((await fetch(`${gateway.url}/livez`)).status).toBe(200);
});

test.each(["localhost:8080", "127.0.0.1", "127.8.9.1:1", "[::1]:8080", "app.localhost", "LOCALHOST"])(
  "without keys the host %s is answered",
  (host) => {
    const admit = originGuard({ allowed: [], isLoopbackOnly: true });
    expect(admit("GET", { host }).kind).toBe("admitted");
  },
);

test.each([
  "evil.example",
  "localhost.evil.example",
  "127.0.0.1.evil.example",
  "",
  "localhost:8080@evil",
  "10.0.0.1",
  "[::2]",
  "evil\\localhost",
])("without keys the host %j is refused, so that DNS rebinding leads nowhere", (host) => {
  const admit = originGuard({ allowed: [], isLoopbackOnly: true });
  expect(admit("GET", { host }).kind).toBe("refused");
});

test("a rebound host is refused over HTTP, with a problem", async () => {
  await using gateway = await startGateway();
  const status = await new Promise<[number | undefined, string]>((resolve, reject) => {
    const req = request(
      { port: gateway.port, host: "127.0.0.1", path: "/v1/tasks", headers: { host: "evil.example" } },
      (res) => {
        let text = "";
        res.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        res.on("end", () => resolve([res.statusCode, text]));
      },
    );
    req.on("error", reject).end();
  });
  expect(status[0]).toBe(403);
  expect(JSON.parse(status[1])).toMatchObject({ code: "permission_denied" });
});

test("pages of other origins are refused unless they are allowed; the same origin and plain clients are not", () => {
  const admit = originGuard({ allowed: ["https://app.example"], isLoopbackOnly: false });
  const host = "api.example:8080";
  expect(admit("POST", { host }).kind).toBe("admitted");
  expect(admit("POST", { host, origin: "http://api.example:8080" }).kind).toBe("admitted");
  expect(admit("POST", { host, origin: "https://evil.example" }).kind).toBe("refused");
  expect(admit("POST", { host, origin: "null" }).kind).toBe("refused");
  expect(admit("GET", { host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }).kind).toBe("refused");
  expect(admit("GET", { host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }).kind).toBe("admitted");
  expect(admit("GET", { host, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" }).kind).toBe("admitted");
  expect(admit("POST", { host, origin: "https://app.example" })).toMatchObject({
    kind: "admitted",
    headers: { "access-control-allow-origin": "https://app.example", vary: "Origin" },
  });
});

test("a preflight of an allowed origin is answered for the API and for Connect; others get none of the headers", async () => {
  await using gateway = await startGateway({ config: { corsOrigins: ["https://app.example"] } });
  const preflight = (path: string, origin: string) =>
    fetch(gateway.url + path, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });
  for (const path of ["/v1/tasks", "/longhaul.v1.TaskService/Submit"]) {
    const ok = await preflight(path, "https://app.example");
    expect(ok.status).toBe(204);
    expect(ok.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(ok.headers.get("access-control-allow-headers")?.toLowerCase()).toMatch(/idempotency-key/);
    const no = await preflight(path, "https://evil.example");
    expect([no.status, no.headers.get("access-control-allow-origin")]).toEqual([403, null]);
  }
  const call = await fetch(`${gateway.url}/longhaul.v1.TaskService/List`, {
    method: "POST",
    headers: { origin: "https://app.example", "content-type": "application/json" },
    body: "{}",
  });
  expect([call.status, call.headers.get("access-control-allow-origin")]).toEqual([200, "https://app.example"]);
  const refused = await fetch(`${gateway.url}/v1/tasks`, { headers: { origin: "https://evil.example" } });
  expect(refused.status).toBe(403);
  const page = await fetch(`${gateway.url}/v1/tasks/none`, { headers: { origin: "https://app.example" } });
  expect([page.status, page.headers.get("access-control-allow-origin")]).toEqual([404, "https://app.example"]);
});
