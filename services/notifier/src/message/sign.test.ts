import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { secretBytes, signatureHeader } from "./sign.ts";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const now = Math.floor(Date.now() / 1_000);

function headersOf(id: string, timestamp: number, body: string, secrets: readonly string[]): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signatureHeader({ id, timestamp, body: Buffer.from(body) }, secrets),
  };
}

test("the specification's own example has this signature", () => {
  const body = Buffer.from('{"test": 2432232314}');
  const header = signatureHeader({ id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body }, [secret]);
  expect(header).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

test.each([
  ["plain", '{"a":1}'],
  ["unicode", '{"text":"Grüße, 世界 👩‍👩‍👧 \\u2028 \u2028 ﷽"}'],
  ["a byte order mark", '\ufeff{"a":1}'],
  ["nothing", ""],
])("standardwebhooks verifies a body of %s", (_, body) => {
  const signed = headersOf("t.task.succeeded", now, body, [secret]);
  expect(() => new Webhook(secret).verify(body, signed)).not.toThrow(/signature/i);
  expect(new Webhook(secret).sign("t.task.succeeded", new Date(now * 1_000), body)).toBe(signed["webhook-signature"]);
});

test("with two secrets, whoever knows either verifies, and nobody else", () => {
  const other = `whsec_${Buffer.from("another secret, 24 bytes").toString("base64")}`;
  const third = `whsec_${Buffer.from("somebody else's, 24 byte").toString("base64")}`;
  const signed = headersOf("id", now, "{}", [secret, other]);
  expect(signed["webhook-signature"]?.split(" ")).toHaveLength(2);
  for (const one of [secret, other]) expect(new Webhook(one).verify("{}", signed)).toEqual({});
  expect(() => new Webhook(third).verify("{}", signed)).toThrow();
  expect(() => new Webhook(secret).verify("{ }", signed)).toThrow();
});

test("bytes are signed as they are, even where they are not UTF-8", () => {
  const body = new Uint8Array([0xff, 0xfe, 0x00, 0x80]);
  const expected = createHmac("sha256", secretBytes(secret))
    .update(Buffer.concat([Buffer.from("id.1."), body]))
    .digest("base64");
  expect(signatureHeader({ id: "id", timestamp: 1, body }, [secret])).toBe(`v1,${expected}`);
});

test("a secret is base64 behind whsec_, else its own UTF-8 bytes", () => {
  expect(Buffer.from(secretBytes("whsec_AAEC")).toString("hex")).toBe("000102");
  expect(Buffer.from(secretBytes("whsec_AAE=")).toString("hex")).toBe("0001");
  expect(Buffer.from(secretBytes("whsec_AAE")).toString("hex")).toBe("0001");
  for (const text of ["plain", "whsec_", "whsec_not base64!", "whsec_AAECA", "pässwörd", "WHSEC_AAEC"]) {
    expect(Buffer.from(secretBytes(text)).toString("utf8")).toBe(text);
  }
  const signed = headersOf("id", now, "{}", ["a plain secret"]);
  expect(new Webhook("a plain secret", { format: "raw" }).verify("{}", signed)).toEqual({});
});

test("no secret, no signature", () => {
  expect(signatureHeader({ id: "id", timestamp: 1, body: new Uint8Array() }, [])).toBe("");
});
