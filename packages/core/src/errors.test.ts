import { expect, test } from "vitest";
import { errorCodes, LonghaulError, unreachable } from "./errors.ts";

test("error codes are unique and machine-readable", () => {
  expect(new Set(errorCodes).size).toBe(errorCodes.length);
  for (const code of errorCodes) expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
});
test("an error without more has no faults, no pause and no cause", () => {
  const error = new LonghaulError("conflict", "It kept changing.");
  expect(error).toMatchObject({ name: "LonghaulError", code: "conflict", message: "It kept changing.", faults: [] });
  expect(error.retryAfterMs).toBeUndefined();
  expect(error).not.toHaveProperty("cause");
});
test("an error keeps its faults, its pause and its cause", () => {
  const cause = new Error("down");
  const faults = [{ pointer: "/input/url", message: "Not a URL." }];
  const error = new LonghaulError("unavailable", "Later.", { cause, faults, retryAfterMs: 500 });
  expect(error).toMatchObject({ cause, faults, retryAfterMs: 500 });
});
test("what must not be reached throws and names what reached it", () => {
  const never: never = JSON.parse('{"kind":"x"}') as never;
  expect(() => unreachable(never)).toThrow('unreachable: {"kind":"x"}');
});
