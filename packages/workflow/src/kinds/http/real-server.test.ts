import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Json } from "@longhaul/core";
import { type GuardedOutbound, guardedOutbound } from "@longhaul/shared";
import { afterAll, beforeAll, expect, test } from "vitest";
import { httpKind } from "./run.ts";
import { contextOf, failureOf } from "./testing/http-world.ts";

// Through the very outbound that executors use, to a server that tells what it got.

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

let server: Server;
let origin = "";
let other = "";
let outbound: GuardedOutbound;
let seen: Seen[] = [];
let answer: (request: Seen, response: ServerResponse) => void = () => undefined;

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const got: Seen = { method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks) };
  seen.push(got);
  answer(got, response);
}

beforeAll(async () => {
  server = createServer((request, response) => void serve(request, response).catch(() => request.socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  other = `http://localhost:${port}`;
  outbound = guardedOutbound({ allow: ["127.0.0.0/8"] });
});

afterAll(async () => {
  await outbound.close();
  server.closeAllConnections();
  server.close();
});

function run(input: Readonly<Record<string, Json>>, reply: typeof answer = (_request, response) => response.end()) {
  seen = [];
  answer = reply;
  return Promise.resolve(httpKind.run(contextOf({ url: origin, ...input }, outbound)));
}

test.each(["GET", "HEAD", "OPTIONS", "DELETE", "PURGE", "PROPFIND", "REPORT"])("%s reaches a server", async (method) => {
  expect(await run({ method })).toMatchObject({ status: 200 });
  expect(seen.map((each) => each.method)).toEqual([method]);
});

test("a HEAD of something larger than the cap succeeds", async () => {
  const output = await run({ method: "HEAD", maxBytes: 10 }, (_request, response) =>
    response.writeHead(200, { "content-length": "1000000" }).end(),
  );
  expect(output).toMatchObject({ status: 200, headers: { "content-length": "1000000" }, body: null });
});

test("multipart arrives as a form that a parser of its own reads", async () => {
  await run({
    method: "POST",
    multipart: { note: "grüße", file: { base64: "AP8=", filename: "ä.png", contentType: "image/png" }, meta: { json: { a: 1 } } },
  });
  const [got] = seen;
  const form = await new Response(new Uint8Array(got?.body ?? []), {
    headers: { "content-type": String(got?.headers["content-type"]) },
  }).formData();
  expect(form.get("note")).toBe("grüße");
  const file = form.get("file");
  if (!(file instanceof File)) throw new Error("no file arrived");
  expect([file.name, file.type, ...new Uint8Array(await file.arrayBuffer())]).toEqual(["ä.png", "image/png", 0, 255]);
  expect(Number(got?.headers["content-length"])).toBe(got?.body.length);
});

test("bytes, form and basic authentication arrive as they were given", async () => {
  await run({ method: "PUT", bodyBase64: "AP8=", auth: { basic: { username: "u", password: "p" } } });
  expect([...(seen[0]?.body ?? [])]).toEqual([0, 255]);
  expect(seen[0]?.headers.authorization).toBe("Basic dTpw");
  await run({ method: "POST", form: { a: ["1", "ü"] } });
  expect(seen[0]?.body.toString()).toBe("a=1&a=%C3%BC");
});

test("redirects are followed hop by hop, without credentials at another origin, and every hop is guarded", async () => {
  const redirects: typeof answer = ({ url }, response) => {
    if (url === "/") response.writeHead(303, { location: "/done" }).end();
    else if (url === "/away") response.writeHead(307, { location: `${other}/done` }).end();
    else if (url === "/inside") response.writeHead(307, { location: "http://169.254.169.254/latest/meta-data/" }).end();
    else response.end("done");
  };
  const input = { method: "POST", json: 1, followRedirects: 3, auth: { bearer: "t" } };
  expect(await run(input, redirects)).toMatchObject({ status: 200, body: "done" });
  expect(seen.map(({ method, url, headers }) => [method, url, headers.authorization])).toEqual([
    ["POST", "/", "Bearer t"],
    ["GET", "/done", "Bearer t"],
  ]);
  await run({ ...input, url: `${origin}/away` }, redirects);
  expect(seen.map(({ method, url, headers }) => [method, url, headers.authorization])).toEqual([
    ["POST", "/away", "Bearer t"],
    ["POST", "/done", undefined],
  ]);
  expect(await failureOf(run({ ...input, url: `${origin}/inside` }, redirects))).toMatchObject({
    code: "http_forbidden_address",
  });
});

test("pages of a real server are read to the end, within maxBytes together", async () => {
  const pages: typeof answer = ({ url }, response) => {
    const page = Number(new URL(url ?? "", origin).searchParams.get("page") ?? 1);
    const link = page < 5 ? { link: `</?page=${page + 1}>; rel="next"` } : {};
    response.writeHead(200, { "content-type": "application/json", ...link }).end(JSON.stringify({ data: [page, page] }));
  };
  const paginate = { next: "${ 'next' in response.links ? response.links.next : null }", items: "${ response.body.data }" };
  expect(await run({ paginate }, pages)).toMatchObject({ body: [1, 1, 2, 2, 3, 3, 4, 4, 5, 5], pages: 5, more: false });
  expect(await run({ paginate: { ...paginate, maxPages: 2 } }, pages)).toMatchObject({
    body: [1, 1, 2, 2],
    pages: 2,
    more: true,
  });
  expect(await failureOf(run({ paginate, maxBytes: 40 }, pages))).toMatchObject({
    code: "http_response_too_large",
    message: "the pages are together larger than 40 bytes",
  });
});

test("an answer over maxBytes fails, one that nobody wants does not", async () => {
  const large: typeof answer = (_request, response) => response.end("x".repeat(100_000));
  expect(await failureOf(run({ maxBytes: 1000 }, large))).toMatchObject({ code: "http_response_too_large", retryable: false });
  expect(await run({ maxBytes: 1000, parse: "none" }, large)).toMatchObject({ status: 200, body: null });
});
