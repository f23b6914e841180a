import fc from "fast-check";
import { expect, test } from "vitest";
import { TextFinder } from "./text-finder.ts";

test("every text that is looked for is found, and none of it is left", () => {
  const letter = fc.constantFrom("a", "b", "ü");
  const wanted = fc.array(fc.string({ unit: letter, minLength: 6, maxLength: 20 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(wanted, fc.string({ unit: letter, maxLength: 60 }), fc.nat(), (texts, around, place) => {
      const steps = [12, 8, 6];
      const finder = new TextFinder(texts, steps);
      const heads = texts.map((text) =>
        text.slice(
          0,
          steps.find((step) => step <= text.length),
        ),
      );
      expect(finder.isIn(around)).toBe(heads.some((head) => around.includes(head)));
      const [first = ""] = texts;
      const at = place % (around.length + 1);
      const text = around.slice(0, at) + first + around.slice(at);
      expect(finder.isIn(text)).toBe(true);
      const left = finder.replace(text, "-");
      expect(texts.filter((each) => left.includes(each))).toEqual([]);
      expect(left).toContain("-");
      expect(finder.isIn(left)).toBe(false);
    }),
  );
});

test("as much as is there of a text goes, and what is not looked for stays", () => {
  const finder = new TextFinder(["abcdefghijkl", "abcdefghXYZ", "secret"], [8, 6]);
  expect(finder.replace("1 abcdefghij 2 abcdefghXYZ! 3 abcdefg secre secrets", "-")).toBe("1 - 2 -! 3 abcdefg secre -s");
  expect(finder.replaceWhole("1 abcdefghij 2 abcdefghXYZ! 3 abcdefghijklabcdefghijk secrets", "-")).toBe(
    "1 abcdefghij 2 -! 3 -abcdefghijk -s",
  );
  expect(new TextFinder([], [6]).replace("abcdefgh", "-")).toBe("abcdefgh");
});

test("a long text costs one pass, however much there is to look for and however often it nearly fits", () => {
  const finder = new TextFinder(
    Array.from({ length: 2_500 }, (_, i) => `${"a".repeat(i % 60)}aaaaaa${i}`),
    [40, 24, 12, 8, 6],
  );
  const started = performance.now();
  // With a search for each, one after the other, this takes minutes.
  expect(finder.replace("aaaaab".repeat(170_000), "-")).toHaveLength(1_020_000);
  expect(performance.now() - started).toBeLessThan(20_000);
});

test("what is too short to look for is refused", () => {
  expect(() => new TextFinder(["short"], [6])).toThrow(/at least 6/);
});
