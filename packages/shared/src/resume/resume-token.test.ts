import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { resumeKeys, resumeToken, resumeUrl } from "./resume-token.ts";

const [a, b, c] = [randomBytes(32), randomBytes(32), randomBytes(32)];
const facts = {
  project: "acme",
  taskId: "01930000-0000-7000-8000-000000000001",
  node: "each[3].approve",
  expireTime: 1_900_000_000_123,
};
const made = (key: Uint8Array, of = facts) => resumeToken(resumeKeys([key]).keyOf(of.project, of.taskId), of);

test("a token reads as what it was made of", () => {
  fc.assert(
    fc.property(
      fc.uuid(),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 }),
      fc.nat(),
      (taskId, project, node, expireTime) => {
        const of = { project, taskId, node, expireTime };
        fc.pre(Buffer.byteLength(project) <= 255);
        expect(resumeKeys([a]).read(made(a, of))).toEqual(of);
      },
    ),
  );
});

test("while rotating, tokens of the old key are read and those of a dropped one are not", () => {
  const token = made(a);
  expect(resumeKeys([b, a]).read(token)).toEqual(facts);
  expect(resumeKeys([b, c]).read(token)).toBeUndefined();
});

test("no changed, cut or lengthened token is read", () => {
  const token = made(a);
  const keys = resumeKeys([a]);
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === "A" ? "B" : "A";
    expect(keys.read(`${token.slice(0, at)}${other}${token.slice(at + 1)}`)).toBeUndefined();
  }
  for (const bad of [token.slice(0, -1), `${token}A`, `${token}=`, "", "A", "A".repeat(100), "A".repeat(10_000), "ä"])
    expect(keys.read(bad)).toBeUndefined();
});

test("the key of one task signs for no other task or project", () => {
  const key = resumeKeys([a]).keyOf(facts.project, facts.taskId);
  expect(resumeKeys([a]).read(resumeToken(key, { ...facts, project: "other" }))).toBeUndefined();
  expect(resumeKeys([a]).read(resumeToken(key, { ...facts, taskId: facts.taskId.replace(/1$/, "2") }))).toBeUndefined();
  expect(resumeKeys([a]).read(resumeToken(key, { ...facts, node: "b" }))).toEqual({ ...facts, node: "b" });
});

test("a link is the token below the public address", () => {
  expect(resumeUrl("https://x.test/lh", "abc")).toBe("https://x.test/lh/v1/resume/abc");
});

test("without a secret key, or without a UUID, there is no token", () => {
  expect(() => resumeKeys([])).toThrow(/SECRET_KEY/);
  expect(() => resumeToken(a, { ...facts, taskId: "x" })).toThrow(/UUID/);
});
