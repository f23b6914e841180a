import { expect, test } from "vitest";
import { hasWords, wordsOf } from "./words.ts";

test("words are compared without case, accents and punctuation", () => {
  expect([...wordsOf("Über-Café, the 2nd CAFÉ!")]).toEqual(["uber", "cafe", "the", "2nd"]);
});

test("a text of ASCII gives the same words as one that is not", () => {
  const text = "Alpha-beta_gamma 42x, (delta)\u0000epsilon\nAlpha";
  expect([...wordsOf(text)]).toEqual(["alpha", "beta", "gamma", "42x", "delta", "epsilon"]);
  expect([...wordsOf(`${text} ü`)]).toEqual([...wordsOf(text), "u"]);
});

test("a very long word is cut, the same way in text and question", () => {
  expect([...wordsOf("x".repeat(4_096))]).toEqual(["x".repeat(64)]);
});

test("text without letters and digits has no words", () => {
  for (const text of ["", "   ", "!?*", "\u0000"]) {
    expect(hasWords(text)).toBe(false);
    expect(wordsOf(text).size).toBe(0);
  }
  expect(hasWords("--- ä")).toBe(true);
});
