import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { compileWorkflow } from "../../definition/compile-workflow.ts";

function faultsOf(input: Record<string, Json>) {
  const result = compileWorkflow({ name: "w", nodes: [{ id: "a", kind: "http", with: { url: "https://x.test/", ...input } }] });
  return result.ok ? [] : result.faults;
}

test.each<[string, Record<string, Json>, string, RegExp]>([
  ["a relative URL", { url: "/a" }, "/url", /absolute http or https/],
  ["another scheme", { url: "ftp://x.test/" }, "/url", /absolute http or https/],
  ["a password in the URL", { url: "https://u:s3cret@x.test/" }, "/url", /must not hold a user or password/],
  ["a method that no node may use", { method: "TRACE" }, "/method", /not TRACE or CONNECT/],
  ["a method in small letters", { method: "get" }, "/method", /in capitals/],
  ["a query that is a list", { query: [1] }, "/query", /of type object/],
  ["a parameter that is an object", { query: { a: {} } }, "/query/a", /text, a number/],
  ["a header of the connection", { headers: { Host: "${ input.h }" } }, "/headers/Host", /set by the connection/],
  ["a header name that is none", { headers: { "a b": "x" } }, "/headers/a b", /is not a header name/],
  ["a header that breaks the line", { headers: { a: "s3cret\r\n" } }, "/headers/a", /cannot carry/],
  ["two bodies", { json: 1, multipart: "${ input }" }, "/multipart", /json and multipart are given/],
  ["bytes that are no base64", { bodyBase64: "@" }, "/bodyBase64", /is not base64/],
  ["a part with two contents", { multipart: { f: { text: "a", json: 1 } } }, "/multipart/f", /one of text, json and base64/],
  ["a part of a list without a name", { multipart: [{ text: "a" }] }, "/multipart", /parts by name, or a list/],
  ["auth of two forms", { auth: { bearer: "${ input.s }", basic: { username: "s3cret" } } }, "/auth", /exactly one of/],
  ["auth of no form", { auth: {} }, "/auth", /exactly one of/],
  ["auth of an unknown form", { auth: { digest: {} } }, "/auth/digest", /no key "digest"/],
  ["auth without a username", { auth: { basic: { password: "s3cret" } } }, "/auth/basic", /"username" is missing/],
  ["a username with a colon", { auth: { basic: { username: "a:s3cret" } } }, "/auth/basic/username", /colon/],
  ["a token that no header carries", { auth: { bearer: "s3cret\n" } }, "/auth/bearer", /cannot carry/],
  [
    "auth beside its own header",
    { auth: { bearer: "${ input.s }" }, headers: { Authorization: "${ input.t }" } },
    "/headers/Authorization",
    /auth sets it too/,
  ],
  ["a status that is none", { acceptStatus: [42] }, "/acceptStatus/0", /a status such as 404/],
  ["a status to retry that is none", { retryStatus: ["6xx"] }, "/retryStatus/0", /a status such as 404/],
  ["a status in both lists", { acceptStatus: [200, 409], retryStatus: [409] }, "/retryStatus/0", /409 is in acceptStatus too/],
  ["an unknown way to parse", { parse: "xml" }, "/parse", /one of \["auto"/],
  ["more bytes than a node may have", { maxBytes: 1e9 }, "/maxBytes", /<= 16777216/],
  ["more redirects than a node may follow", { followRedirects: 21 }, "/followRedirects", /<= 20/],
  ["pages without a next", { paginate: {} }, "/paginate", /"next" is missing/],
  ["pages without end", { paginate: { next: null, maxPages: 0 } }, "/paginate/maxPages", />= 1/],
  ["pages with a mistyped key", { paginate: { next: null, item: "x" } }, "/paginate/item", /no key "item"/],
  ["pages that are an expression", { paginate: "${ input }" }, "/paginate", /of type object/],
  ["pages of an answer that is not read", { paginate: { next: null }, parse: "none" }, "/parse", /nothing to paginate/],
  ["an expression of a page with a typo", { paginate: { next: "${ respons.body }" } }, "/paginate/next", /no name "respons"/],
  [
    "a page that uses a node that is not there",
    { paginate: { next: "${ nodes.b.x }" } },
    "/paginate/next",
    /there is no such node/,
  ],
  ["async without a timeout", { async: {} }, "/async", /"timeout" is missing/],
  ["async for no time", { async: { timeout: "0s" } }, "/async/timeout", /a duration of at most 366 days/],
  ["async with a timeout that is none", { async: { timeout: "soon" } }, "/async/timeout", /is not a duration/],
  ["async with pages", { async: { timeout: "1h" }, paginate: { next: null } }, "/paginate", /async and paginate are given/],
  [
    "a callback URL in two places",
    { async: { timeout: "1h", urlIn: { query: "a", form: "b" } } },
    "/async/urlIn",
    /exactly one of/,
  ],
  [
    "a callback URL in no header",
    { async: { timeout: "1h", urlIn: { header: "a b" } } },
    "/async/urlIn/header",
    /not a header name/,
  ],
  [
    "a callback URL at no pointer",
    { async: { timeout: "${ input.t }", urlIn: { json: "a" } } },
    "/async/urlIn/json",
    /JSON pointer/,
  ],
  [
    "a callback URL in a list",
    { json: [], async: { timeout: "1h", urlIn: { json: "/a" } } },
    "/async/urlIn/json",
    /is no object/,
  ],
  [
    "a callback URL in another body",
    { body: "x", async: { timeout: "1h", urlIn: { form: "a" } } },
    "/body",
    /form and body are given/,
  ],
  ["a callback URL without a name", { async: { timeout: "1h", urlIn: { query: "" } } }, "/async/urlIn/query", /is empty/],
  ["response outside the pages", { json: "${ response.body }" }, "/json", /response exists only in what is evaluated after/],
])("%s is refused with its place and what to do", (_name, input, pointer, message) => {
  const faults = faultsOf(input);
  expect(faults.map((fault) => fault.pointer)).toEqual([`/nodes/0/with${pointer}`]);
  expect(faults[0]?.message).toMatch(message);
  expect(faults[0]?.mend).not.toBe("");
  expect(faults[0]?.node).toBe("a");
  expect(JSON.stringify(faults)).not.toContain("s3cret");
});

test("everything may be an expression, and is then judged when it is evaluated", () => {
  const fields = [
    "method",
    "query",
    "headers",
    "auth",
    "form",
    "acceptStatus",
    "retryStatus",
    "parse",
    "maxBytes",
    "followRedirects",
  ];
  expect(faultsOf(Object.fromEntries(fields.map((field) => [field, "${ input.x }"])))).toEqual([]);
  for (const field of ["json", "multipart", "body", "bodyBase64"]) expect(faultsOf({ [field]: "${ input.x }" })).toEqual([]);
  const place = { timeout: "${ input.t }", urlIn: { json: "/hooks/done" } };
  expect(faultsOf({ headers: "${ input.h }", json: "${ input.x }", async: place })).toEqual([]);
  expect(faultsOf({ headers: "${ input.h }", body: "${ input.x }", async: { timeout: "1h" } })).toEqual([]);
  expect(faultsOf({ url: "${ input.url }", auth: { basic: { username: "a", password: "${ input.p }" } } })).toEqual([]);
  expect(
    faultsOf({ auth: { basic: "${ input.b }" }, paginate: { next: "${ response.links.next }", maxPages: "${ 3 }" } }),
  ).toEqual([]);
});
