import type { Json, OutboundResponse } from "@longhaul/core";
import { expect, test } from "vitest";
import { linksOf } from "./link-header.ts";
import { bytes, call, failureOf } from "./testing/http-world.ts";

const body = async (parse: string, answer: Partial<OutboundResponse>) =>
  ((await call({ parse }, answer)).output as { readonly body: Json }).body;

test("parse says how an answer is read, whatever it claims to be", async () => {
  const image = { headers: { "content-type": "image/png" }, body: bytes('{"a":1}') };
  expect(await body("json", image)).toEqual({ a: 1 });
  expect(await body("text", image)).toBe('{"a":1}');
  expect(await body("base64", image)).toBe("eyJhIjoxfQ==");
  expect(await body("none", image)).toBeNull();
  expect(await body("auto", image)).toBe("eyJhIjoxfQ==");
  const latin = { headers: { "content-type": "application/json; charset=iso-8859-1" }, body: Buffer.from([0x22, 0xfc, 0x22]) };
  expect(await body("auto", latin)).toBe("ü");
  expect(await body("text", { headers: { "content-type": "text/plain; charset=klingon" }, body: bytes("ü") })).toBe("ü");
  for (const parse of ["auto", "json", "text", "base64", "none"]) expect(await body(parse, { status: 204 })).toBeNull();
});

test.each<[string, string, Partial<OutboundResponse>, RegExp]>([
  ["what is no JSON", "json", { body: bytes("s3cret {") }, /^the answer is not valid JSON$/],
  ["JSON too deep", "json", { body: bytes(`${"[".repeat(500)}${"]".repeat(500)}`) }, /deeper than 60/],
  ["compressed JSON", "json", { headers: { "content-encoding": "gzip" }, body: bytes("x") }, /compressed \("gzip"\)/],
  ["compressed text", "text", { headers: { "content-encoding": "br" }, body: bytes("x") }, /compressed \("br"\)/],
])("%s fails under parse %s", async (_name, parse, answer, message) => {
  expect(await failureOf(call({ parse }, answer))).toMatchObject({
    code: "http_invalid_body",
    retryable: false,
    message: expect.stringMatching(message),
  });
});

test("maxBytes bounds what is read; an answer that nobody wants is cut, not refused", async () => {
  expect((await call({ maxBytes: 100 })).request).toMatchObject({ maxResponseBytes: 100 });
  expect((await call({ maxBytes: 100 })).request.oversize).toBeUndefined();
  expect((await call({ parse: "none" })).request).toMatchObject({ maxResponseBytes: 4096, oversize: "truncate" });
  expect((await call({ method: "HEAD" })).request).toMatchObject({ oversize: "truncate" });
  for (const maxBytes of [0, 1.5, 16 * 1024 * 1024 + 1, "5"])
    expect(await failureOf(call({ maxBytes }))).toMatchObject({ details: { pointer: "/with/maxBytes" } });
});

test("retryStatus says exactly which statuses may pass, and none of them succeeds", async () => {
  expect(await failureOf(call({ retryStatus: [202] }, { status: 202 }))).toMatchObject({ code: "http_status", retryable: true });
  expect(await failureOf(call({ retryStatus: [202] }, { status: 503 }))).toMatchObject({ code: "http_status", retryable: false });
  expect(await failureOf(call({ retryStatus: [] }, { status: 429 }))).toMatchObject({ retryable: false });
  expect((await call({ retryStatus: [202] }, { status: 200 })).output).toMatchObject({ status: 200 });
  const both = { acceptStatus: ["2xx"], retryStatus: [202, "5xx"] };
  expect(await failureOf(call(both, { status: 202 }))).toMatchObject({ retryable: true });
  expect(await failureOf(call(both, { status: 404 }))).toMatchObject({ retryable: false });
  expect(await failureOf(call({ retryStatus: [99] }))).toMatchObject({ details: { pointer: "/with/retryStatus/0" } });
});

test("links are read from their header, and what is none is left out", () => {
  expect(linksOf('</a?page=2>; rel="next", <https://x.test/?q=a,b>; title="x, <y>"; rel="last prev"')).toEqual({
    next: "/a?page=2",
    last: "https://x.test/?q=a,b",
    prev: "https://x.test/?q=a,b",
  });
  expect(linksOf("<a>; rel=next, <b>; rel=next")).toEqual({ next: "a" });
  for (const header of [undefined, "", "next", "<a>", "<a", '<a>; rel="', "<".repeat(20_000)])
    expect(linksOf(header)).toEqual({});
});
