import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { operationKey } from "../../engine/operation-key.ts";
import { httpKind } from "./run.ts";
import { call, contextOf, failureOf, fakeOutbound, jsonAnswer } from "./testing/http-world.ts";

const byLink = { next: "${ 'next' in response.links ? response.links.next : null }" };

test("pages are read by their links until there is none, and their items are one list", async () => {
  const progress: Json[] = [];
  const outbound = fakeOutbound(
    jsonAnswer([1, 2], { link: '</?page=2>; rel="next"' }),
    jsonAnswer([], { link: '</?page=3>; rel="next"' }),
    jsonAnswer([3], { etag: "x" }),
  );
  const context = contextOf({ url: "http://x.test/", query: { a: 1 }, paginate: byLink }, outbound, {
    progress: (delta) => progress.push(delta),
  });
  expect(await httpKind.run(context)).toEqual({
    status: 200,
    headers: { "content-type": "application/json", etag: "x" },
    body: [1, 2, 3],
    pages: 3,
    more: false,
  });
  expect(outbound.sent.map(({ url }) => url)).toEqual(["http://x.test/?a=1", "http://x.test/?page=2", "http://x.test/?page=3"]);
  expect(progress).toEqual([
    { pages: 1, items: 2 },
    { pages: 2, items: 2 },
    { pages: 3, items: 3 },
  ]);
});

test("a cursor changes the query or the body, and items say where the items are", async () => {
  const items = "${ response.body.data }";
  const query = await call(
    {
      query: { limit: 2, cursor: "first" },
      paginate: { items, next: "${ response.body.after == null ? null : { 'query': { 'cursor': response.body.after } } }" },
    },
    jsonAnswer({ data: [1], after: "a b" }),
    jsonAnswer({ data: [2], after: null }),
  );
  expect(query.output).toMatchObject({ body: [1, 2], pages: 2, more: false });
  expect(query.sent.map(({ url }) => url)).toEqual(["http://x.test/?limit=2&cursor=first", "http://x.test/?limit=2&cursor=a+b"]);
  const body = await call(
    {
      method: "POST",
      json: { size: 1 },
      paginate: { items, next: { json: { size: 1, from: "${ response.body.next }" } }, maxPages: 2 },
    },
    jsonAnswer({ data: [1], next: 7 }),
    jsonAnswer({ data: [2], next: 8 }),
  );
  expect(body.output).toMatchObject({ body: [1, 2], pages: 2, more: true });
  expect(body.sent.map((sent) => sent.body)).toEqual(['{"size":1}', '{"size":1,"from":7}']);
});

test("each page is a call of its own by its operation key, unless the author set one", async () => {
  const pages = [jsonAnswer([1], { link: '</2>; rel="next"' }), jsonAnswer([2])];
  const keys = async (input: Record<string, Json>) =>
    (await call({ paginate: byLink, ...input }, ...pages)).sent.map(({ headers }) => headers["idempotency-key"]);
  expect(await keys({})).toEqual(["key-1", operationKey("key-1", "page 2")]);
  expect(await keys({ headers: { "idempotency-key": "mine" } })).toEqual(["mine", "mine"]);
  expect(await keys({ headers: { "idempotency-key": null } })).toEqual([undefined, undefined]);
});

test("a page elsewhere gets no credentials", async () => {
  const { sent } = await call(
    { auth: { bearer: "t" }, paginate: byLink },
    jsonAnswer([1], { link: '<http://evil.test/>; rel="next"' }),
    jsonAnswer([2]),
  );
  expect(sent.map(({ headers }) => headers["authorization"])).toEqual(["Bearer t", undefined]);
});

test("maxBytes and the time are for all pages together", async () => {
  const page = jsonAnswer([1], { link: '</2>; rel="next"' });
  const { sent } = await call({ maxBytes: 100, paginate: { ...byLink, maxPages: 2 } }, page, jsonAnswer([2]));
  expect(sent.map(({ maxResponseBytes }) => maxResponseBytes)).toEqual([100, 97]);
});

test.each<[string, Json, Json, RegExp, string]>([
  [
    "items that are no list",
    { items: "${ response.body }" },
    { a: 1 },
    /items of page 1 must be a list, but they are of type object/,
    "items",
  ],
  ["items that are null", { items: null }, [1], /but they are null/, "items"],
  ["a next that is a number", { next: "${ 5 }" }, [1], /next must be an object/, "next"],
  ["a next without a request", { next: { querry: {} } }, [1], /a URL, or an object with url, query or json/, "next"],
  ["a next that is no URL", { next: "http://[" }, [1], /absolute http or https URL/, "next"],
  ["a next that changes nothing", { next: "/" }, [1], /page 1 is that page itself/, "next"],
])("%s fails the node", async (_name, paginate, answer, message, part) => {
  const full = { next: null, ...(paginate as Record<string, Json>) };
  expect(await failureOf(call({ paginate: full }, jsonAnswer(answer)))).toMatchObject({
    code: "http_pagination",
    retryable: false,
    message: expect.stringMatching(message),
    details: { pointer: `/with/paginate/${part}` },
  });
});

test("a page that fails fails the node, with the statuses' own rules", async () => {
  const page = jsonAnswer([1], { link: '</2>; rel="next"' });
  expect(await failureOf(call({ paginate: byLink }, page, { status: 503, headers: { "retry-after": "3" } }))).toMatchObject({
    code: "http_status",
    retryable: true,
    retryAfterMs: 3000,
  });
});
