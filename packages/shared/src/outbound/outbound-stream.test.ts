import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { OutboundError, type OutboundStream, type OutboundStreamRequest } from "@longhaul/core";
import { afterEach, describe, expect, test } from "vitest";
import { guardedOutbound } from "./guarded-outbound.ts";

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function outbound(allow: readonly string[] = ["127.0.0.0/8"]) {
  const made = guardedOutbound({ allow });
  cleanups.push(() => made.close());
  return made;
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const request = (url: string, more: Partial<OutboundStreamRequest> = {}): OutboundStreamRequest => ({
  method: "POST",
  url,
  headers: { "x-a": "1" },
  body: "{}",
  timeoutMs: 10_000,
  maxResponseBytes: 1_000_000,
  ...more,
});

async function readAll({ body }: OutboundStream): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const closed = (response: ServerResponse) => new Promise<void>((resolve) => response.once("close", resolve));

test("the head is there before the body, and each piece as it comes", async () => {
  let open: ServerResponse | undefined;
  const url = await serve((_request, response) => {
    open = response;
    response.writeHead(201, { "X-Kind": "stream", "set-cookie": ["a", "b"] }).flushHeaders();
  });
  const answer = await outbound().stream(request(url));
  expect(answer).toMatchObject({ status: 201, headers: { "x-kind": "stream", "set-cookie": "a, b" } });
  const pieces = answer.body[Symbol.asyncIterator]();
  for (const word of ["one", "two"]) {
    open?.write(word);
    expect(Buffer.from((await pieces.next()).value ?? []).toString()).toBe(word);
  }
  open?.end();
  expect((await pieces.next()).done).toBe(true);
});

test("the method, the headers and the body arrive", async () => {
  const url = await serve((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk) => {
      body += chunk;
    });
    incoming.on("end", () => response.end(`${incoming.method} ${incoming.headers["x-a"]} ${body}`));
  });
  expect(await readAll(await outbound().stream(request(url)))).toBe("POST 1 {}");
});

describe("what is refused", () => {
  test.each([
    ["http://127.0.0.1/", "forbidden_address"],
    ["http://localhost/", "forbidden_address"],
    ["http://[::ffff:10.0.0.1]/", "forbidden_address"],
    ["ftp://a.test/", "invalid_url"],
    ["http://u:p@a.test/", "invalid_url"],
  ])("%s", async (url, fault) => {
    await expect(outbound([]).stream(request(url))).rejects.toMatchObject({ fault });
  });

  test("a header that belongs to the connection", async () => {
    await expect(outbound().stream(request("http://127.0.0.1/", { headers: { host: "x" } }))).rejects.toMatchObject({
      fault: "invalid_url",
    });
  });

  test("nothing is followed", async () => {
    const url = await serve((_request, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end());
    const answer = await outbound().stream(request(url));
    expect(answer.status).toBe(302);
    answer.close();
  });
});

test("the time is for everything: a slow drip ends with it, and the connection with that", async () => {
  const gone: Promise<void>[] = [];
  const url = await serve((_request, response) => {
    const timer = setInterval(() => response.write("."), 5);
    gone.push(closed(response).then(() => clearInterval(timer)));
  });
  const answer = await outbound().stream(request(url, { timeoutMs: 100 }));
  const error = await readAll(answer).then(
    () => undefined,
    (why: unknown) => why,
  );
  expect(error).toBeInstanceOf(OutboundError);
  expect(error).toMatchObject({ fault: "timeout" });
  await Promise.all(gone);
});

test("an answer that never begins ends with the time", async () => {
  const url = await serve(() => undefined);
  await expect(outbound().stream(request(url, { timeoutMs: 50 }))).rejects.toMatchObject({ fault: "timeout" });
});

test("a body beyond the bytes allowed is not read on", async () => {
  const gone: Promise<void>[] = [];
  const url = await serve((_request, response) => {
    gone.push(closed(response));
    const more = (): void => {
      while (response.write("x".repeat(1000)));
      response.once("drain", more);
    };
    more();
  });
  const answer = await outbound().stream(request(url, { maxResponseBytes: 5000 }));
  await expect(readAll(answer)).rejects.toMatchObject({ fault: "response_too_large" });
  await Promise.all(gone);
});

test("a connection that breaks in the middle is a network fault", async () => {
  const url = await serve((_request, response) => void response.write("begin", () => response.destroy()));
  const answer = await outbound().stream(request(url));
  await expect(readAll(answer)).rejects.toMatchObject({ fault: "network" });
});

test("the signal ends it with its own reason, before the head and behind it", async () => {
  const reason = new Error("enough");
  const url = await serve((incoming, response) => {
    if (incoming.headers["x-a"] === "1") response.write("begin");
  });
  const early = new AbortController();
  const waiting = outbound().stream(request(url, { headers: {}, signal: early.signal }));
  early.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  const late = new AbortController();
  const answer = await outbound().stream(request(url, { signal: late.signal }));
  const reading = readAll(answer);
  late.abort(reason);
  await expect(reading).rejects.toBe(reason);
  await expect(outbound().stream(request(url, { signal: late.signal }))).rejects.toBe(reason);
});

test("an answer that is closed, or left, gives its connection back", async () => {
  const gone: Promise<void>[] = [];
  const url = await serve((_request, response) => {
    gone.push(closed(response));
    response.write("begin");
  });
  const self = outbound();
  (await self.stream(request(url))).close();
  for await (const piece of (await self.stream(request(url))).body) {
    expect(Buffer.from(piece).toString()).toBe("begin");
    break;
  }
  await Promise.all(gone);
  expect(gone).toHaveLength(2);
});
