import { LonghaulError } from "@longhaul/core";
import {
  MongoInvalidArgumentError,
  MongoNetworkError,
  MongoOperationTimeoutError,
  MongoServerClosedError,
  MongoServerError,
  MongoUnexpectedServerResponseError,
} from "mongodb";
import { expect, test } from "vitest";
import { longhaulError, outageOf } from "./mongo-error.ts";

const serverError = (code: number) => new MongoServerError({ message: "as the server said: host-1.internal:27017", code });

test("elections, shutdowns and lost connections pass, so they are tried again", () => {
  for (const code of [91, 189, 10_107, 11_600, 11_602, 13_435, 64]) expect(outageOf(serverError(code))).toBe("again");
  expect(outageOf(new MongoNetworkError("reset"))).toBe("again");
});

test("a bare socket error, and whatever else comes from the driver and not from the server, passes", () => {
  const reset = Object.assign(new Error("write ECONNRESET"), { code: "ECONNRESET", errno: -104, syscall: "write" });
  expect(outageOf(reset)).toBe("again");
  expect(longhaulError(reset)).toMatchObject({ code: "unavailable", retryAfterMs: 1_000 });
  expect(outageOf(new MongoServerClosedError("the server is closed"))).toBe("again");
  expect(outageOf(new MongoUnexpectedServerResponseError("cut short"))).toBe("again");
});

test("what never reached the server because it is wrong in itself is internal", () => {
  expect(outageOf(new MongoInvalidArgumentError("no such option"))).toBe("none");
  expect(outageOf(new TypeError("not a function"))).toBe("none");
});

test("what took too long is not tried again", () => {
  expect(outageOf(new MongoOperationTimeoutError("late"))).toBe("late");
});

test("what the server refuses is internal, an outage is unavailable with a time to try again", () => {
  expect(longhaulError(serverError(121))).toMatchObject({ code: "internal" });
  expect(longhaulError(serverError(91))).toMatchObject({ code: "unavailable", retryAfterMs: 1_000 });
  const own = new LonghaulError("conflict", "own");
  expect(longhaulError(own)).toBe(own);
});

test("callers are not told about hosts", () => {
  expect(longhaulError(serverError(91)).message).not.toContain("host-1");
  expect(longhaulError(serverError(2)).message).not.toContain("host-1");
});
