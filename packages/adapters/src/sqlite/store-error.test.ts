import { LonghaulError } from "@longhaul/core";
import { expect, test } from "vitest";
import { asStoreError, isOutage } from "./store-error.ts";

const sqliteError = (code: string) => Object.assign(new Error("raw"), { code });

test.each([
  "SQLITE_BUSY",
  "SQLITE_BUSY_SNAPSHOT",
  "SQLITE_FULL",
  "SQLITE_IOERR",
  "SQLITE_IOERR_WRITE",
  "SQLITE_READONLY_DBMOVED",
  "SQLITE_NOMEM",
])("%s is an outage: unavailable, with the cause kept and the raw message hidden", (code) => {
  const cause = sqliteError(code);
  const error = asStoreError(cause);
  expect(isOutage(cause)).toBe(true);
  expect(error).toMatchObject({ code: "unavailable", cause, retryAfterMs: 1_000 });
  expect(error.message).not.toContain("raw");
});

test("anything else is internal, with the cause kept; a LonghaulError stays what it is", () => {
  for (const cause of [sqliteError("SQLITE_CONSTRAINT"), new TypeError("x"), "text", undefined]) {
    expect(isOutage(cause)).toBe(false);
    expect(asStoreError(cause)).toMatchObject({ code: "internal" });
  }
  const own = new LonghaulError("not_found", "mine");
  expect(asStoreError(own)).toBe(own);
});
