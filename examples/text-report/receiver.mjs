import { createHmac, timingSafeEqual } from "node:crypto";
import { serve } from "../shared/serve.mjs";

const toleranceSeconds = 300;

/** Receives webhooks and keeps only those whose signature is right. `next()` resolves with the next message. */
export async function receiveWebhooks(secret) {
  const messages = [];
  const waiting = [];
  const server = await serve((req, res, body) => {
    if (!isSigned(req.headers, body, secret)) return res.writeHead(401).end("bad signature");
    const message = JSON.parse(body.toString());
    const next = waiting.shift();
    if (next) next(message);
    else messages.push(message);
    res.writeHead(204).end();
  });
  const next = () => new Promise((resolve) => (messages.length > 0 ? resolve(messages.shift()) : waiting.push(resolve)));
  return { ...server, next };
}

/** Standard Webhooks 1.0: an HMAC over id, timestamp and the exact bytes received. */
export function isSigned(headers, body, secret) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > toleranceSeconds) return false;
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return String(headers["webhook-signature"])
    .split(" ")
    .filter((one) => one.startsWith("v1,"))
    .map((one) => Buffer.from(one.slice(3), "base64"))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected));
}
