import { expect, test } from "vitest";
import { pythonScalar } from "./python-scalar.ts";

test.each([
  ["yes", true],
  ["Off", false],
  ["~", null],
  ["", null],
  ["12", 12],
  ["-1_000", -1000],
  ["0x1F", 31],
  ["-017", -15],
  ["1.5", 1.5],
  ["1.5e+3", 1500],
  [".5", 0.5],
  ["1e3", "1e3"],
  ["e1", "e1"],
  ["1750000000001", 1750000000001],
  ["12345678901234567890", "12345678901234567890"],
  ["2026-01-01", "2026-01-01"],
  ["12:30:45", "12:30:45"],
  ["08", "08"],
  [".inf", ".inf"],
  ["y", "y"],
])("the bare word %j is read as %j", (source, value) => {
  expect(pythonScalar(source)).toBe(value);
});
