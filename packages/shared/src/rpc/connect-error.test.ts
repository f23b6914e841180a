import { Code, ConnectError } from "@connectrpc/connect";
import { errorCodes, LonghaulError } from "@longhaul/core";
import { expect, test } from "vitest";
import { fromConnectError, toConnectError } from "./connect-error.ts";

test.each(errorCodes)("%s crosses a service losslessly", async (code) => {
  const thrown = new LonghaulError(code, `about ${code}`, {
    faults: [{ pointer: "/a~1b/0", message: "is wrong" }],
    retryAfterMs: 1_500,
  });
  const back = fromConnectError(toConnectError(thrown));
  expect(back).toMatchObject({ code, message: `about ${code}`, faults: thrown.faults, retryAfterMs: 1_500 });
});

test("foreign errors get the nearest code, a torn connection is unavailable", () => {
  expect(fromConnectError(new ConnectError("x", Code.NotFound)).code).toBe("not_found");
  expect(fromConnectError(new ConnectError("x", Code.Aborted)).code).toBe("conflict");
  const reset = Object.assign(new Error("reset"), { code: "ECONNRESET" });
  expect(fromConnectError(new ConnectError("x", Code.Aborted, undefined, undefined, reset)).code).toBe("unavailable");
  expect(fromConnectError("what").code).toBe("internal");
  expect(fromConnectError(toConnectError(new DOMException("x", "TimeoutError"))).code).toBe("deadline_exceeded");
  expect(fromConnectError(toConnectError(new DOMException("x", "AbortError"))).code).toBe("cancelled");
});

test("the faults of a definition keep their node and their mend on the way between services", () => {
  const fault = { pointer: "/nodes/0/needs/0", node: "a", message: "there is no node b", mend: "Name a node that exists." };
  const back = fromConnectError(toConnectError(new LonghaulError("invalid_argument", "not valid", { faults: [fault] })));
  expect(back.faults).toStrictEqual([fault]);
});
