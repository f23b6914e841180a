import { type Outbound, OutboundError } from "@longhaul/core";
import { expect, test } from "vitest";
import { httpKind } from "./run.ts";
import { bytes, call, contextOf, failureOf, fakeOutbound } from "./testing/http-world.ts";

const to = (status: number, location: string) => ({ status, headers: { location } });
const done = { status: 200, body: bytes("done") };

test("a redirect is a status like any other unless the node follows them", async () => {
  expect((await call({}, to(302, "/b"))).output).toMatchObject({ status: 302, headers: { location: "/b" } });
  const { output, sent } = await call({ followRedirects: 2 }, to(302, "/b?c=1#d"), to(308, "https://y.test/"), done);
  expect(output).toMatchObject({ status: 200, body: "done" });
  expect(sent.map(({ url }) => url)).toEqual(["http://x.test/", "http://x.test/b?c=1", "https://y.test/"]);
});

test("more redirects than allowed, and redirects to no address, fail", async () => {
  expect(await failureOf(call({ followRedirects: 1 }, to(302, "/a"), to(302, "/b"), done))).toMatchObject({
    code: "http_too_many_redirects",
    retryable: false,
  });
  for (const location of ["file:///etc/passwd", "http://user:pass@x.test/", "http://[", "javascript:alert(1)"])
    expect(await failureOf(call({ followRedirects: 1 }, to(302, location), done))).toMatchObject({ code: "http_bad_redirect" });
  expect((await call({ followRedirects: 1 }, { status: 302 })).output).toMatchObject({ status: 302 });
});

test.each([
  [301, "POST", "GET"],
  [302, "POST", "GET"],
  [303, "POST", "GET"],
  [303, "PUT", "GET"],
  [303, "HEAD", "HEAD"],
  [301, "PUT", "PUT"],
  [302, "DELETE", "DELETE"],
  [307, "POST", "POST"],
  [308, "POST", "POST"],
])("after %i a %s goes on as %s", async (status, method, next) => {
  const { sent } = await call({ method, followRedirects: 1, json: { a: 1 }, headers: { "x-a": "b" } }, to(status, "/b"), done);
  expect(sent[1]).toMatchObject({ method: next, headers: { "x-a": "b", "idempotency-key": "key-1" } });
  expect(sent[1]?.body).toBe(next === method ? '{"a":1}' : undefined);
  expect(sent[1]?.headers["content-type"]).toBe(next === method ? "application/json" : undefined);
});

test("credentials go to the first origin only, and not back after a detour", async () => {
  const { sent } = await call(
    { followRedirects: 3, auth: { bearer: "t" }, headers: { cookie: "c", "x-api-key": "k", "x-a": "b" } },
    to(307, "/same"),
    to(307, "http://x.test:81/other"),
    to(307, "http://x.test/back"),
    done,
  );
  const seen = sent.map(({ headers }) => [headers["authorization"], headers["cookie"], headers["x-api-key"], headers["x-a"]]);
  expect(seen).toEqual([
    ["Bearer t", "c", "k", "b"],
    ["Bearer t", "c", "k", "b"],
    [undefined, undefined, undefined, "b"],
    [undefined, undefined, undefined, "b"],
  ]);
  const query = await call(
    { followRedirects: 2, auth: { query: { name: "k", value: "s" } } },
    to(307, "/b"),
    to(307, "//y.test/"),
    done,
  );
  expect(query.sent.map(({ url }) => url)).toEqual(["http://x.test/?k=s", "http://x.test/b?k=s", "http://y.test/"]);
});

test("a hop that fails after something was changed leaves open what became of it", async () => {
  const lost = new OutboundError("connect_failed", "no way");
  const fails = (method: string, status: number) => failureOf(call({ method, followRedirects: 1 }, to(status, "/b"), lost));
  expect(await fails("POST", 303)).toMatchObject({ code: "http_connect_failed", sent: "unknown" });
  expect(await fails("POST", 307)).toMatchObject({ sent: "no" });
  expect(await fails("GET", 302)).toMatchObject({ sent: "no" });
});

test("the time of a try is for all hops together", async () => {
  const answers = fakeOutbound(to(307, "/b"), to(307, "/c"), done);
  const clock = { ms: 1000 };
  const outbound: Outbound = {
    stream: answers.stream,
    request(request) {
      clock.ms += 2000;
      return answers.request(request);
    },
  };
  await httpKind.run(contextOf({ url: "http://x.test/", followRedirects: 2 }, outbound, { now: () => clock.ms }));
  expect(answers.sent.map(({ timeoutMs }) => timeoutMs)).toEqual([5000, 3000, 1000]);
});
