import { expect, test } from "vitest";
import { parseDocument } from "yaml";
import { repeatedYamlKey } from "./repeated-yaml-key.ts";

const read = (text: string) => repeatedYamlKey(parseDocument(text, { uniqueKeys: false }));

test("the second of two equal keys of a map is named with its place", () => {
  expect(read("a: 1\nb:\n  - c: 1\n    c: 2\n")).toEqual({ name: "c", offset: 21 });
  expect(read('{ "x": 1, x: 2 }')).toEqual({ name: "x", offset: 10 });
});

test("the same key in different maps is none", () => {
  expect(read("a: { a: 1 }\nb: { a: 1 }\n")).toBeUndefined();
});

test("a map of very many keys is looked through once", () => {
  const text = Array.from({ length: 60_000 }, (_, at) => `k${at}: 1`).join("\n");
  expect(read(text)).toBeUndefined();
  expect(read(`${text}\nk7: 2`)?.name).toBe("k7");
});
