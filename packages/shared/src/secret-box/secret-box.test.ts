import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { secretBox } from "./secret-box.ts";

const [a, b, c] = [randomBytes(32), randomBytes(32), randomBytes(32)];

test("what was sealed opens again, whatever it is", () => {
  const box = secretBox([a]);
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => box.open(box.seal(text)) === text));
});

test("the sealed form shows nothing of the text and differs each time", () => {
  const box = secretBox([a]);
  const one = box.seal("whsec_hunter2");
  expect(one).toMatch(/^v1\.[\w-]{8}\.[\w-]{16}\.[\w-]+$/);
  expect(one).not.toContain("hunter2");
  expect(box.seal("whsec_hunter2")).not.toBe(one);
});

test("while rotating, old secrets open and new ones are sealed with the new key", () => {
  const old = secretBox([a]).seal("s");
  const rotating = secretBox([b, a]);
  expect(rotating.open(old)).toBe("s");
  expect(secretBox([b]).open(rotating.seal("t"))).toBe("t");
  expect(() => secretBox([c]).open(old)).toThrow(/key that SECRET_KEY no longer holds/);
});

test("any change is refused without telling what was wrong", () => {
  const box = secretBox([a]);
  const sealed = box.seal("hunter2");
  const [v, id, iv, body = ""] = sealed.split(".");
  const flip = (text: string) => `${text[0] === "A" ? "B" : "A"}${text.slice(1)}`;
  for (const bad of [
    `${v}.${id}.${iv}.${flip(body)}`,
    `${v}.${id}.${flip(iv ?? "")}.${body}`,
    `v2.${id}.${iv}.${body}`,
    `${sealed}.x`,
    "",
    "v1",
    `v1.${id}.${iv}.AA`,
    sealed.slice(0, -4),
  ]) {
    expect(() => box.open(bad)).toThrow(/^a stored secret/);
  }
});

test("keys of another length, or none, are refused", () => {
  expect(() => secretBox([])).toThrow(/SECRET_KEY/);
  expect(() => secretBox([new Uint8Array(16)])).toThrow(/32 bytes/);
});
