import { LonghaulError } from "@longhaul/core";
import { expect, test } from "vitest";
import { silentLogger } from "./logger.ts";
import { pinoLogger } from "./pino-logger.ts";

function capture(level = "debug") {
  const lines: Record<string, unknown>[] = [];
  const log = pinoLogger(level, "scheduler", { write: (line) => void lines.push(JSON.parse(line)) });
  return { lines, log, text: () => JSON.stringify(lines) };
}

test("a line carries its facts, its service and its level", () => {
  const { log, lines } = capture();
  log.child({ taskId: "t1" }).info({ attempt: 2 }, "task moved");
  expect(lines[0]).toMatchObject({ level: "info", service: "scheduler", taskId: "t1", attempt: 2, msg: "task moved" });
  expect(lines[0]?.["time"]).toMatch(/^\d{4}-\d\d-\d\dT/);
});

test("what lies below the level is not written", () => {
  const { log, lines } = capture("warn");
  log.info({}, "quiet");
  log.debug({}, "quieter");
  log.error({}, "loud");
  expect(lines.map((line) => line["msg"])).toEqual(["loud"]);
});

test("secrets never reach a line, wherever they hide", () => {
  const { log, text } = capture();
  log.child({ apiKey: "hunter0" }).warn(
    {
      authorization: "hunter1",
      headers: { Authorization: "hunter2", cookie: "hunter3", "x-api-key": "hunter4", nested: [{ secret: "hunter5" }] },
      url: "mongodb://user:hunter6@host/db",
      note: "sent Bearer hunter7 with lh_hunter8 and whsec_hunter9==",
      err: new LonghaulError("internal", "no lh_hunter10", { cause: new Error("mongodb://u:hunter11@h") }),
    },
    "key lh_hunter12",
  );
  expect(text()).not.toContain("hunter");
  expect(text()).toContain("mongodb://[redacted]@host/db");
});

test("an error keeps its code, stack and cause", () => {
  const { log, lines } = capture();
  log.error({ err: new LonghaulError("conflict", "kept changing", { cause: new TypeError("inner") }) }, "failed");
  expect(lines[0]?.["err"]).toMatchObject({
    type: "LonghaulError",
    code: "conflict",
    message: "kept changing",
    cause: { type: "TypeError", message: "inner" },
  });
});

test("bytes, big numbers and things that hold themselves do not break a line", () => {
  const { log, lines } = capture();
  const ring: Record<string, unknown> = {};
  ring["ring"] = ring;
  log.info({ body: new Uint8Array(5), big: 5n, ring }, "odd");
  expect(lines[0]).toMatchObject({ body: "[5 bytes]", big: "5" });
});

test("counts that only sound secret stay", () => {
  const { log, lines } = capture();
  log.info({ tokens: 50, nextPageToken: "abc" }, "spend");
  expect(lines[0]).toMatchObject({ tokens: 50, nextPageToken: "abc" });
});

test("the silent logger stays silent", () => {
  expect(() => silentLogger.child({}).error({ err: 1 }, "x")).not.toThrow();
});
