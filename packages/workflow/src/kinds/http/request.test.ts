import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { httpKind } from "./run.ts";
import { bytes, call, failureOf } from "./testing/http-world.ts";

test.each(["GET", "HEAD", "PURGE", "PROPFIND", "M-SEARCH", "QUERY"])("the method %s is sent as it is", async (method) => {
  expect((await call({ method })).request.method).toBe(method);
});

test.each(["TRACE", "CONNECT", "PRI", "get", "G T", "", "A\r\nB", 5])("the method %j is refused", async (method) => {
  expect(await failureOf(call({ method }))).toMatchObject({
    code: "invalid_request",
    details: { pointer: "/with/method", mend: expect.stringContaining("PURGE") },
  });
});

test("bytes are sent as they are, without a content type of their own", async () => {
  const { request } = await call({ method: "PUT", bodyBase64: "AP8=", headers: { "content-type": "image/png" } });
  expect([...(request.body as Uint8Array)]).toEqual([0, 255]);
  expect(request.headers["content-type"]).toBe("image/png");
});

const textOf = (body: string | Uint8Array | undefined) => Buffer.from(body ?? "").toString("latin1");

test("multipart parts are text, JSON and bytes, by name or as a list, the same bytes each time", async () => {
  const parts: Json = {
    note: "grüße",
    count: 3,
    tag: ["a", "b"],
    none: null,
    meta: { json: { a: 1 } },
    image: { base64: "AP8=", filename: 'a".png', contentType: "image/png" },
    log: { text: "line", filename: "a.txt" },
    raw: { base64: "AAE=" },
  };
  const { request } = await call({ method: "POST", multipart: parts });
  expect(request.headers["content-type"]).toBe("multipart/form-data; boundary=longhaul-key-1");
  expect(textOf(request.body)).toBe(
    [
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="note"\r\n\r\n',
      `${bytesAsLatin1("grüße")}\r\n`,
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="count"\r\n\r\n3\r\n',
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="tag"\r\n\r\na\r\n',
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="tag"\r\n\r\nb\r\n',
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="meta"\r\ncontent-type: application/json\r\n\r\n{"a":1}\r\n',
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="image"; filename="a%22.png"\r\ncontent-type: image/png\r\n\r\n\x00\xff\r\n',
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="log"; filename="a.txt"\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nline\r\n',
      '--longhaul-key-1\r\ncontent-disposition: form-data; name="raw"\r\ncontent-type: application/octet-stream\r\n\r\n\x00\x01\r\n',
      "--longhaul-key-1--\r\n",
    ].join(""),
  );
  expect((await call({ method: "POST", multipart: parts })).request.body).toEqual(request.body);
  const listed = await call({
    method: "POST",
    multipart: [
      { name: "tag", text: "a" },
      { name: "tag", json: null },
    ],
  });
  expect(textOf(listed.request.body).match(/name="tag"/g)).toHaveLength(2);
});

const bytesAsLatin1 = (text: string) => Buffer.from(text).toString("latin1");

test("a part can neither end its line nor fake a boundary", async () => {
  const { request } = await call({
    method: "POST",
    multipart: { 'a"\r\nx: y': "1", b: "\r\n--longhaul-key-1\r\n", c: "--longhaul-key-1-1" },
  });
  expect(request.headers["content-type"]).toBe("multipart/form-data; boundary=longhaul-key-1-2");
  expect(textOf(request.body)).toContain('name="a%22%0D%0Ax: y"');
});

test.each<[string, Json]>([
  ["text that is no base64", { a: { base64: "@@" } }],
  ["base64 without its padding", { a: { base64: "AP8" } }],
  ["two contents", { a: { text: "x", json: 1 } }],
  ["no content", { a: { filename: "x" } }],
  ["a key that nobody knows", { a: { text: "x", filenam: "x" } }],
  ["a content type that breaks the line", { a: { text: "x", contentType: "a\r\nb: c" } }],
  ["a part in a list without a name", [{ text: "x" }]],
  ["text", "x"],
])("multipart with %s is refused", async (_name, multipart) => {
  const failure = await failureOf(call({ multipart }));
  expect(failure).toMatchObject({ code: "invalid_request", details: { pointer: expect.stringMatching(/^\/with\/multipart/) } });
});

test("two bodies that only evaluation shows are refused", async () => {
  expect(await failureOf(call({ json: 1, bodyBase64: "AA==" }))).toMatchObject({ details: { pointer: "/with/bodyBase64" } });
  expect((await call({ method: "POST", form: { a: 1 }, body: null })).request.body).toBe("a=1");
});

test("auth is sent as the service expects it", async () => {
  const basic = await call({ auth: { basic: { username: "ü", password: "p:w" } } });
  expect(basic.request.headers["authorization"]).toBe(`Basic ${Buffer.from("ü:p:w").toString("base64")}`);
  const bearer = await call({ auth: { bearer: "t0ken" } });
  expect(bearer.request.headers["authorization"]).toBe("Bearer t0ken");
  const header = await call({ auth: { header: { name: "X-Key", value: "k" } } });
  expect(header.request.headers["x-key"]).toBe("k");
  const query = await call({ url: "http://x.test/?a=1", auth: { query: { name: "key", value: "a b&c" } } });
  expect(query.request.url).toBe("http://x.test/?a=1&key=a+b%26c");
  expect((await call({ auth: null })).request.headers["authorization"]).toBeUndefined();
});

test.each<[string, Json, string]>([
  ["two forms", { bearer: "s3cret", basic: { username: "s3cret" } }, "/with/auth"],
  ["no form", {}, "/with/auth"],
  ["an unknown form", { digest: "s3cret" }, "/with/auth"],
  ["a username with a colon", { basic: { username: "s3cret:x" } }, "/with/auth/basic/username"],
  ["a token with a line break", { bearer: "s3cret\n" }, "/with/auth/bearer"],
  ["an empty token", { bearer: " " }, "/with/auth/bearer"],
  ["a header of the connection", { header: { name: "host", value: "s3cret" } }, "/with/auth/header/name"],
  ["a value that is no text", { header: { name: "x", value: ["s3cret"] } }, "/with/auth/header/value"],
  ["a parameter without a name", { query: { name: "", value: "s3cret" } }, "/with/auth/query/name"],
])("auth with %s is refused, and the failure does not show it", async (_name, auth, pointer) => {
  const failure = await failureOf(call({ auth }));
  expect(failure).toMatchObject({ code: "invalid_request", details: { pointer } });
  expect(JSON.stringify([failure.message, failure.details])).not.toContain("s3cret");
});

test("auth and a header of the same name are refused", async () => {
  const failure = await failureOf(call({ auth: { bearer: "a" }, headers: { Authorization: "b" } }));
  expect(failure).toMatchObject({ code: "invalid_request", details: { pointer: "/with/headers/authorization" } });
});

test("a failure does not show the credentials that the service repeats", async () => {
  for (const input of [
    { auth: { basic: { username: "u", password: "s3cret" } } },
    { auth: { bearer: "s3cret" } },
    { auth: { header: { name: "x", value: "s3cret" } } },
    { auth: { query: { name: "k", value: "s3cret" } } },
    { headers: { "x-api-key": "s3cret" } },
  ]) {
    const pair = Buffer.from("u:s3cret").toString("base64");
    const failure = await failureOf(call(input, { status: 500, body: bytes(`you sent s3cret and ${pair}, why?`) }));
    const shown = JSON.stringify(failure.details);
    expect(shown).not.toContain("s3cret");
    expect(shown).toContain("[redacted]");
    if ("auth" in input && "basic" in input.auth) expect(shown).not.toContain(pair);
  }
});

test("the record of a node's input is without credentials", () => {
  expect(
    httpKind.redact?.({
      url: "https://user:s3cret@x.test/a?page=1&access_token=s3cret&b=2#c",
      auth: { basic: { username: "s3cret", password: "s3cret" } },
      headers: { Authorization: "s3cret", "X-Api-Key": "s3cret", cookie: null, accept: "text/plain" },
      query: { api_key: ["s3cret"], limit: 5 },
      form: { client_secret: "s3cret", grant_type: "client_credentials" },
      json: { kept: true },
    }),
  ).toEqual({
    url: "https://[redacted]@x.test/a?page=1&access_token=[redacted]&b=2#c",
    auth: { basic: { username: "[redacted]", password: "[redacted]" } },
    headers: { Authorization: "[redacted]", "X-Api-Key": "[redacted]", cookie: null, accept: "text/plain" },
    query: { api_key: "[redacted]", limit: 5 },
    form: { client_secret: "[redacted]", grant_type: "client_credentials" },
    json: { kept: true },
  });
  expect(httpKind.redact?.({ url: 5, auth: "s3cret", headers: ["x"] })).toEqual({ url: 5, auth: "[redacted]", headers: ["x"] });
  const named = { header: { name: "x-key", value: "s3cret" } };
  expect(httpKind.redact?.({ auth: named })).toEqual({ auth: { header: { name: "x-key", value: "[redacted]" } } });
});
