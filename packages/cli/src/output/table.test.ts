import { expect, test } from "vitest";
import { textAt } from "../client/json.ts";
import { cleanJson, cleanText } from "./clean-text.ts";
import { colours } from "./colours.ts";
import { recordText, tableText } from "./table.ts";

const paint = colours(false);
const columns = [
  { title: "NAME", of: (row: Parameters<typeof textAt>[0]) => textAt(row, "name") },
  { title: "N", of: (row: Parameters<typeof textAt>[0]) => textAt(row, "n"), kind: "number" },
  { title: "WHY", of: (row: Parameters<typeof textAt>[0]) => textAt(row, "why") },
] as const;

test("columns stay in line with wide letters, numbers stand on the right, and the last column is cut at the edge", () => {
  const rows = [
    { name: "日本", n: 5, why: "short" },
    { name: "abc", n: 1_000, why: "a reason that is longer than the terminal is wide" },
  ];
  expect(tableText(columns, rows, { paint, width: 32 }).split("\n")).toEqual([
    "NAME     N  WHY",
    "日本     5  short",
    "abc   1000  a reason that is lo…",
  ]);
});

test("an empty list says so", () => {
  expect(tableText(columns, [], { paint, width: 80 })).toBe("(none)");
});

test("a record leaves out what is empty", () => {
  expect(recordText({ id: "x", why: "", state: "running" }, paint)).toBe("id     x\nstate  running");
});

test("what a terminal would obey is shown instead", () => {
  expect(cleanText("a\u001b[2J\u009b1m\nb\u202e\u0007")).toBe("a\\u001b[2J\\u009b1m\\nb\\u202e\\u0007");
  expect(cleanText("a\nb", { lines: true })).toBe("a\nb");
  const value = { text: "\u009b\u007f\u2028\n\u202e" };
  const text = cleanJson(JSON.stringify(value, null, 2));
  expect(text).not.toMatch(/[\u007f-\u009f\u2028\u202e]/);
  expect(JSON.parse(text)).toEqual(value);
});

test("states have colours where colours are wanted, and other words none", () => {
  expect(colours(true).state("failed ")).toBe("\u001b[31mfailed \u001b[39m");
  expect(colours(true).state("other")).toBe("other");
  expect(colours(false).state("failed")).toBe("failed");
});
