import { createServer, type IncomingHttpHeaders, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { guardedOutbound } from "@longhaul/shared";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { handClock } from "./testing/hand-clock.ts";
import { order, world } from "./testing/world.ts";

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A real receiver on loopback. */
async function receiver(answer: RequestListener) {
  const received: Received[] = [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      received.push({ method: req.method ?? "", url: req.url ?? "", headers: req.headers, body: Buffer.concat(chunks) });
      answer(req, res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/hook`, received, server };
}

async function begin(timeoutMs = 5_000, allow: readonly string[] = ["127.0.0.0/8"]) {
  const outbound = guardedOutbound({ allow });
  const to = world({ outbound, timeoutMs, clock: handClock(Date.now()) });
  await to.start();
  onTestFinished(async () => {
    await to.stop();
    await outbound.close();
  });
  const send = async (options: Parameters<typeof order>[0]) => {
    const one = order(options);
    await to.accept([one]);
    await to.notifier.idle();
    return (await to.stored(one.id)).delivery;
  };
  return { ...to, send };
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

test("a receiver gets a POST whose signature another implementation verifies over the raw bytes", async () => {
  const there = await receiver((_, res) => res.writeHead(200).end("stored"));
  const to = await begin();
  const body = JSON.stringify({ type: "task.succeeded", data: { text: "Grüße, 世界 👩‍👩‍👧 \u2028", deep: { n: 1.5e300 } } });
  const delivery = await to.send({ url: there.url, body, secrets: ["plain old", secret], headers: { "X-Mine": "1" } });
  expect(delivery).toMatchObject({ state: "delivered", attempts: [{ status: 200, responseStart: "stored" }] });
  const [got] = there.received;
  expect(got).toMatchObject({ method: "POST", url: "/hook", headers: { "x-mine": "1", "content-type": "application/json" } });
  expect(got?.body.equals(Buffer.from(body))).toBe(true);
  expect(got?.headers["content-length"]).toBe(String(Buffer.byteLength(body)));
  const headers = Object.fromEntries(Object.entries(got?.headers ?? {}).map(([name, value]) => [name, String(value)]));
  expect(new Webhook(secret).verify(got?.body.toString() ?? "", headers)).toEqual(JSON.parse(body));
  expect(new Webhook("plain old", { format: "raw" }).verify(got?.body.toString() ?? "", headers)).toEqual(JSON.parse(body));
});

test("a redirect is not followed and says what to do", async () => {
  const target = await receiver((_, res) => res.end());
  const there = await receiver((_, res) => res.writeHead(307, { location: target.url }).end());
  const to = await begin();
  const delivery = await to.send({ url: there.url });
  expect(delivery).toMatchObject({ state: "pending", attempts: [{ status: 307 }] });
  expect(delivery.attempts[0]?.error).toContain("redirect");
  expect(target.received).toHaveLength(0);
});

test("a receiver that never answers fails when the total time is over", async () => {
  const there = await receiver(() => {});
  const to = await begin(150);
  const delivery = await to.send({ url: there.url });
  expect(delivery).toMatchObject({ state: "pending", attempts: [{ status: 0 }] });
  expect(delivery.attempts[0]?.error).toContain("150 ms");
});

test("a receiver that drips its answer, byte by byte, is cut at the total time", async () => {
  const drips: NodeJS.Timeout[] = [];
  const there = await receiver((_, res) => {
    res.writeHead(200);
    drips.push(setInterval(() => res.write("."), 20));
  });
  onTestFinished(() => {
    for (const drip of drips) clearInterval(drip);
  });
  const to = await begin(200);
  const delivery = await to.send({ url: there.url });
  expect(delivery).toMatchObject({ state: "pending", attempts: [{ status: 0 }] });
  expect(there.received).toHaveLength(1);
});

test("an endless answer is read no further than needed, and its status counts", async () => {
  const there = await receiver((_, res) => {
    res.writeHead(200);
    const pour = (): void => {
      while (res.write("x".repeat(65_536)));
      if (!res.destroyed) res.once("drain", pour);
    };
    pour();
  });
  const to = await begin();
  const delivery = await to.send({ url: there.url });
  expect(delivery.state).toBe("delivered");
  expect(delivery.attempts[0]?.responseStart).toBe("x".repeat(1_024));
});

test("a receiver that hangs up, or speaks no HTTP, fails with a sentence", async () => {
  const hangsUp = await receiver((req) => req.socket.destroy());
  const garbage = await receiver((req) => req.socket.end("SSH-2.0-OpenSSH_9.6\r\n"));
  const to = await begin();
  for (const there of [hangsUp, garbage]) {
    const delivery = await to.send({ url: there.url });
    expect(delivery).toMatchObject({ state: "pending", attempts: [{ status: 0 }] });
    expect(delivery.attempts[0]?.error).toMatch(/^The connection to 127\.0\.0\.1:\d+ failed/);
  }
});

test("a port where nobody listens fails and is tried again when somebody does", async () => {
  const there = await receiver((_, res) => res.end());
  await new Promise((resolve) => there.server.close(resolve));
  const to = await begin();
  const delivery = await to.send({ url: there.url });
  expect(delivery.attempts[0]?.error).toContain("Can't connect");
  await new Promise<void>((resolve) => there.server.listen(Number(new URL(there.url).port), "127.0.0.1", resolve));
  await to.live(5_000);
  expect((await to.stored(delivery.id)).delivery).toMatchObject({ state: "delivered", made: 2 });
});

test("addresses that may not be called are refused before anything is sent", async () => {
  const there = await receiver((_, res) => res.end());
  const to = await begin(5_000, []);
  for (const url of [
    there.url,
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://10.0.0.1/",
    "ftp://a.example/",
  ]) {
    const delivery = await to.send({ url });
    expect(delivery).toMatchObject({ state: "exhausted", made: 1, attempts: [{ status: 0 }] });
  }
  expect(there.received).toHaveLength(0);
});

test("a header value that can't be sent fails the attempt and nothing else", async () => {
  const there = await receiver((_, res) => res.end());
  const to = await begin();
  const delivery = await to.send({ url: there.url, headers: { "x-bad": "a\r\ninjected: b" } });
  expect(delivery).toMatchObject({ state: "exhausted", attempts: [{ status: 0 }] });
  expect(there.received).toHaveLength(0);
  expect((await to.send({ url: there.url })).state).toBe("delivered");
});

test("dead receivers don't delay a healthy one", async () => {
  const dead = await Promise.all(Array.from({ length: 20 }, () => receiver(() => {})));
  const healthy = await receiver((_, res) => res.end());
  const to = await begin(3_000);
  const begun = performance.now();
  const arrived = new Promise((resolve) => healthy.server.on("request", resolve));
  await to.accept(dead.flatMap((there) => Array.from({ length: 10 }, () => order({ url: there.url }))));
  await to.accept([order({ url: healthy.url })]);
  await arrived;
  expect(performance.now() - begun).toBeLessThan(2_000);
});
