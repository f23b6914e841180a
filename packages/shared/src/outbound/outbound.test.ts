import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createTcpServer, type Socket } from "node:net";
import { OutboundError } from "@longhaul/core";
import { afterEach, describe, expect, test } from "vitest";
import { type GuardedOutboundOptions, guardedOutbound } from "./guarded-outbound.ts";

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function outbound(options: Partial<GuardedOutboundOptions> = {}) {
  const made = guardedOutbound({ allow: ["127.0.0.0/8", "::1"], ...options });
  cleanups.push(() => made.close());
  return made;
}

async function serve(listener: RequestListener, host = "127.0.0.1") {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const base = { method: "GET", headers: {}, timeoutMs: 10_000, maxResponseBytes: 1_000_000 };
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const echo = (req: IncomingMessage, res: ServerResponse): void => {
  const chunks: Buffer[] = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () =>
    res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(chunks).toString() })),
  );
};

describe("evil URLs", () => {
  test.each([
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0x7f.1/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://127.0.0.1./",
    "http://①②⑦.⓪.⓪.①/",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[0:0:0:0:0:ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://192.168.1.1/",
    "https://10.0.0.1/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://255.255.255.255/",
  ])("%s is a forbidden address", async (url) => {
    const error = await outbound({ allow: [] })
      .request({ ...base, url })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OutboundError);
    expect(error).toMatchObject({ fault: "forbidden_address" });
  });

  test.each([
    "",
    "/relative",
    "//host/x",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "data:text/plain,x",
    "javascript:1",
    "http://",
    "http://user:hunter2@example.com/",
    "http://user@example.com/",
    "http://example.com:0/",
    "http://[::1",
    "http://exa mple.com/",
    "http://256.256.256.256/",
    "http://[fe80::1%25eth0]/",
  ])("%s is an invalid URL, and no secret of it is said", async (url) => {
    const error = await outbound()
      .request({ ...base, url })
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ fault: "invalid_url" });
    expect(String(error)).not.toContain("hunter2");
  });

  test.each(["http://inside.test/", "http://localhost./"])(
    "%s, a name that resolves to private addresses, is forbidden",
    async (url) => {
      const resolve = async () => ["10.0.0.1", "::1"];
      await expect(outbound({ allow: [], resolve }).request({ ...base, url })).rejects.toMatchObject({
        fault: "forbidden_address",
      });
    },
  );

  test("DNS rebinding: a name is resolved once and exactly the checked address is dialled", async () => {
    const hit: string[] = [];
    const port = await serve((_req, res) => {
      hit.push("checked");
      res.end();
    }, "127.0.0.2");
    let lookups = 0;
    const out = outbound({ allow: ["127.0.0.2"], resolve: async () => [++lookups === 1 ? "127.0.0.2" : "127.0.0.1"] });
    await out.request({ ...base, url: `http://rebind.test:${port}/` });
    expect({ hit, lookups }).toEqual({ hit: ["checked"], lookups: 1 });
  });

  test("a forbidden address beside an allowed one is never dialled", async () => {
    const port = await serve(echo, "127.0.0.2");
    const out = outbound({ allow: ["127.0.0.2"], resolve: async () => ["127.0.0.1", "10.0.0.1", "127.0.0.2"] });
    expect((await out.request({ ...base, url: `http://mixed.test:${port}/` })).status).toBe(200);
  });

  test("a redirect is answered as it is and not followed", async () => {
    let hits = 0;
    const port = await serve((_req, res) => {
      hits++;
      res.writeHead(302, { location: "http://169.254.169.254/" }).end();
    });
    const answer = await outbound().request({ ...base, url: `http://127.0.0.1:${port}/` });
    expect([answer.status, answer.headers["location"], hits]).toEqual([302, "http://169.254.169.254/", 1]);
  });
});

describe("requests", () => {
  test("method, headers and exact bytes arrive, with the name as Host and no compression asked for", async () => {
    const port = await serve(echo);
    const out = outbound({ resolve: async () => ["127.0.0.1"] });
    const answer = await out.request({
      ...base,
      method: "POST",
      url: `http://name.test:${port}/a?b=c`,
      headers: { "X-One": "1" },
      body: Buffer.from("höre"),
    });
    const seen = JSON.parse(text(answer.body));
    expect(seen).toMatchObject({ method: "POST", url: "/a?b=c", body: "höre" });
    expect(seen.headers).toMatchObject({
      host: `name.test:${port}`,
      "x-one": "1",
      "accept-encoding": "identity",
      "content-length": "5",
    });
  });

  test("connections are kept and reused", async () => {
    const sockets = new Set<Socket>();
    const port = await serve((req, res) => {
      sockets.add(req.socket);
      res.end("x");
    });
    const out = outbound();
    for (let i = 0; i < 40; i++) await out.request({ ...base, url: `http://127.0.0.1:${port}/` });
    // One more may be opened while the last answer is still being put away.
    expect(sockets.size).toBeLessThan(5);
  });

  test("the next address is tried when the first refuses", async () => {
    const port = await serve(echo, "127.0.0.2");
    const out = outbound({ resolve: async () => ["127.0.0.3", "127.0.0.2"] });
    expect((await out.request({ ...base, url: `http://two.test:${port}/` })).status).toBe(200);
  });

  test.each(["host", "Content-Length", "transfer-encoding", "Connection", "Upgrade", "Expect"])(
    "the header %s can't be set",
    async (name) => {
      await expect(outbound().request({ ...base, url: "http://127.0.0.1:1/", headers: { [name]: "1" } })).rejects.toMatchObject({
        fault: "invalid_url",
      });
    },
  );

  test.each([{ "x-a": "b\r\nx-evil: 1" }, { "x a": "b" }, { "": "b" }])(
    "a header that would break the request is refused: %j",
    async (headers) => {
      const port = await serve(echo);
      await expect(outbound().request({ ...base, url: `http://127.0.0.1:${port}/`, headers })).rejects.toMatchObject({
        fault: "invalid_url",
      });
    },
  );

  test("a method that would break the request is refused", async () => {
    const port = await serve(echo);
    await expect(
      outbound().request({ ...base, method: "GET / HTTP/1.1\r\n", url: `http://127.0.0.1:${port}/` }),
    ).rejects.toMatchObject({ fault: "invalid_url" });
  });

  test("repeated headers are joined and names are in lower case", async () => {
    const port = await serve((_req, res) =>
      res
        .writeHead(
          200,
          [
            ["X-A", "1"],
            ["X-A", "2"],
          ].flat(),
        )
        .end(),
    );
    expect((await outbound().request({ ...base, url: `http://127.0.0.1:${port}/` })).headers["x-a"]).toBe("1, 2");
  });
});

describe("bounds", () => {
  const drip = (_req: IncomingMessage, res: ServerResponse): void => {
    res.write("x");
    const timer = setInterval(() => res.write("x"), 1);
    res.on("close", () => clearInterval(timer));
  };

  test("the total time bounds an answer that drips", async () => {
    const port = await serve(drip);
    await expect(outbound().request({ ...base, timeoutMs: 50, url: `http://127.0.0.1:${port}/` })).rejects.toMatchObject({
      fault: "timeout",
    });
  });

  test("the total time bounds a server that never answers, and one whose name never resolves", async () => {
    const server = createTcpServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    await expect(outbound().request({ ...base, timeoutMs: 30, url: `http://127.0.0.1:${port}/` })).rejects.toMatchObject({
      fault: "timeout",
    });
    const out = outbound({ resolve: () => new Promise(() => {}) });
    await expect(out.request({ ...base, timeoutMs: 30, url: "http://slow.test/" })).rejects.toMatchObject({ fault: "timeout" });
  });

  test("the caller's signal rejects with its own reason, before and during", async () => {
    const port = await serve(drip);
    const stop = new AbortController();
    const call = outbound().request({ ...base, url: `http://127.0.0.1:${port}/`, signal: stop.signal });
    stop.abort(new Error("cancelled by me"));
    await expect(call).rejects.toThrow("cancelled by me");
    await expect(outbound().request({ ...base, url: "http://127.0.0.1:1/", signal: stop.signal })).rejects.toThrow(
      "cancelled by me",
    );
  });

  test("an answer larger than allowed is refused, announced or not, or cut when asked", async () => {
    const announced = await serve((_req, res) => res.end("x".repeat(5_000)));
    const chunked = await serve((_req, res) => {
      res.write("x".repeat(600));
      res.end("x".repeat(600));
    });
    const endless = await serve(drip);
    for (const port of [announced, chunked]) {
      const url = `http://127.0.0.1:${port}/`;
      await expect(outbound().request({ ...base, maxResponseBytes: 1_000, url })).rejects.toMatchObject({
        fault: "response_too_large",
      });
      const cut = await outbound().request({ ...base, maxResponseBytes: 1_000, oversize: "truncate", url });
      expect(cut.body.length).toBe(1_000);
    }
    const cut = await outbound().request({
      ...base,
      maxResponseBytes: 5,
      oversize: "truncate",
      url: `http://127.0.0.1:${endless}/`,
    });
    expect(text(cut.body)).toBe("xxxxx");
    const exact = await outbound().request({ ...base, maxResponseBytes: 5_000, url: `http://127.0.0.1:${announced}/` });
    expect(exact.body.length).toBe(5_000);
  });

  test("headers without end are refused", async () => {
    const port = await serve((_req, res) => res.writeHead(200, { "x-big": "x".repeat(100_000) }).end());
    await expect(outbound().request({ ...base, url: `http://127.0.0.1:${port}/` })).rejects.toMatchObject({
      fault: "response_too_large",
    });
  });

  test("a refused connection, a torn answer and nonsense are told apart", async () => {
    const closed = await serve(echo);
    await cleanups.pop()?.();
    await expect(outbound().request({ ...base, url: `http://127.0.0.1:${closed}/` })).rejects.toMatchObject({
      fault: "connect_failed",
    });
    const torn = await serve((_req, res) => {
      res.writeHead(200, { "content-length": "100" }).write("x", () => res.destroy());
    });
    await expect(outbound().request({ ...base, url: `http://127.0.0.1:${torn}/` })).rejects.toMatchObject({ fault: "network" });
    const nonsense = createTcpServer((socket) => socket.end("not http\r\n\r\n"));
    await new Promise<void>((resolve) => nonsense.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => nonsense.close());
    const { port } = nonsense.address() as AddressInfo;
    await expect(outbound().request({ ...base, url: `http://127.0.0.1:${port}/` })).rejects.toMatchObject({ fault: "network" });
  });

  test("a name without an address says so", async () => {
    const out = outbound({ resolve: () => Promise.reject(new Error("ENOTFOUND")) });
    await expect(out.request({ ...base, url: "http://none.test/" })).rejects.toMatchObject({
      fault: "connect_failed",
      message: "none.test has no address",
    });
  });
});
