import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Json } from "@longhaul/core";
import { IntakeServiceRecordDeliveriesRequestSchema } from "@longhaul/proto/intake_service";
import { FailureSchema, NodeState, TaskSchema, TaskState } from "@longhaul/proto/task";
import {
  TaskServiceGetRequestSchema,
  TaskServiceListRequestSchema,
  TaskServiceSubmitRequestSchema,
  TaskServiceWatchResponseSchema,
} from "@longhaul/proto/task_service";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkJsonDepth } from "../limits/json-depth.ts";
import { fromNativeJson } from "./from-native-json.ts";
import { suggest } from "./suggest.ts";
import { durationText, parseDuration, parseTimestamp, timestampText } from "./time.ts";
import { toNativeJson } from "./to-native-json.ts";
import { valueFromJson, valueToJson } from "./value.ts";

const faultsOf = (run: () => unknown): { pointer: string; message: string }[] => {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({ name: "LonghaulError", code: "invalid_argument" });
    return (error as { faults: { pointer: string; message: string }[] }).faults;
  }
  throw new Error("it was accepted");
};
const submit = (json: unknown) => fromNativeJson(TaskServiceSubmitRequestSchema, json);
const nest = (levels: number): Json => (levels === 0 ? 1 : [nest(levels - 1)]);
const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>;
// As a parser gives it (without -0), and without the key that protobuf's own map reading drops.
const plainJson = json.map((one): Json => JSON.parse(JSON.stringify(one).replaceAll("__proto__", "proto")));

describe("out", () => {
  test("a task looks as documented: zero values written, what is unset left out, enums short, times with milliseconds", () => {
    const task = create(TaskSchema, {
      id: "t1",
      project: "default",
      workflow: "w",
      state: TaskState.TIMED_OUT,
      input: valueFromJson({ a: [1, null, "x"] }),
      createTime: timestampFromDate(new Date("2026-11-21T01:02:03Z")),
      error: { code: "deadline_exceeded", message: "m", details: { status: 500 } },
    });
    const out = toNativeJson(TaskSchema, task) as Record<string, Json>;
    expect(out).toMatchObject({
      id: "t1",
      revision: 0,
      state: "timed_out",
      input: { a: [1, null, "x"] },
      error: { code: "deadline_exceeded", message: "m", node: "", retryable: false, details: { status: 500 } },
      attempt: 0,
      labels: {},
      priority: 0,
      createTime: "2026-11-21T01:02:03.000Z",
    });
    for (const absent of ["output", "startTime", "endTime", "deadline", "delivery"]) expect(out).not.toHaveProperty(absent);
  });

  test("an output of null is written, which is not the same as no output", () => {
    expect(toNativeJson(TaskSchema, create(TaskSchema, { output: valueFromJson(null) }))).toHaveProperty("output", null);
  });

  test("64-bit integers are numbers, and the member of a oneof that is set is written by its name", () => {
    expect(toNativeJson(TaskServiceGetRequestSchema, create(TaskServiceGetRequestSchema, { ifNoneMatch: 7n }))).toHaveProperty(
      "ifNoneMatch",
      7,
    );
    const event = create(TaskServiceWatchResponseSchema, {
      id: "1.2.3",
      event: { case: "node", value: { path: "a", state: NodeState.SKIPPED } },
    });
    const out = toNativeJson(TaskServiceWatchResponseSchema, event) as Record<string, Json>;
    expect(Object.keys(out)).toEqual(["id", "node"]);
    expect(out["node"]).toMatchObject({ path: "a", state: "skipped" });
    expect(toNativeJson(TaskServiceWatchResponseSchema, create(TaskServiceWatchResponseSchema))).toEqual({ id: "" });
  });

  test("an enum number that nobody knows is written as the number", () => {
    expect(toNativeJson(TaskSchema, create(TaskSchema, { state: 99 as TaskState }))).toHaveProperty("state", 99);
  });
});

describe("in", () => {
  test("camelCase, snake_case, short and full enum names, numbers as text and null are taken", () => {
    expect(submit({ workflow: "w", input: null, requestId: "k", notBefore: null, revision: "3" })).toMatchObject({
      workflow: "w",
      requestId: "k",
      revision: 3,
      input: { kind: { case: "nullValue" } },
    });
    expect(submit({ request_id: "k", not_before: "2026-01-01T00:00:00Z" })).toMatchObject({
      requestId: "k",
      notBefore: { seconds: 1_767_225_600n },
    });
    const list = fromNativeJson(TaskServiceListRequestSchema, {
      state: ["timed_out", "TASK_STATE_QUEUED", 2],
      label: { a: "b" },
      pageSize: 5,
    });
    expect(list).toMatchObject({
      state: [TaskState.TIMED_OUT, TaskState.QUEUED, TaskState.RUNNING],
      label: { a: "b" },
      pageSize: 5,
    });
    const standing = fromNativeJson(IntakeServiceRecordDeliveriesRequestSchema, {
      standings: [{ sequence: "9007199254740993", state: "paused" }],
    });
    expect(standing.standings[0]).toMatchObject({ sequence: 9_007_199_254_740_993n });
  });

  test("an unknown field is named with its pointer and the one that was meant", () => {
    expect(faultsOf(() => submit({ worfklow: "w" }))).toEqual([
      { pointer: "/worfklow", message: 'is not a known field; did you mean "workflow"?' },
    ]);
    expect(faultsOf(() => submit({ webhook: { uri: "x" } }))).toEqual([
      { pointer: "/webhook/uri", message: 'is not a known field; did you mean "url"?' },
    ]);
    expect(faultsOf(() => submit({ zzz: 1 }))[0]?.message).toMatch(/^is not a known field; known are workflow, /);
    expect(faultsOf(() => submit(JSON.parse('{"__proto__": 1, "constructor": 2}'))).map((one) => one.pointer)).toEqual([
      "/__proto__",
      "/constructor",
    ]);
  });

  test("every fault is told, with its pointer and a sentence", () => {
    const faults = faultsOf(() =>
      submit({
        workflow: 5,
        revision: 1.5,
        labels: { "a/b~c": 1 },
        priority: 2 ** 31,
        notBefore: "yesterday",
        deadline: 5,
        webhook: [],
        requestId: null,
        wait: "1h",
        input: nest(65),
      }),
    );
    expect(faults).toEqual([
      { pointer: "/workflow", message: "must be a string, is a number" },
      { pointer: "/revision", message: "must be a whole number, or text when it has more than 15 digits" },
      { pointer: "/labels/a~1b~0c", message: "must be a string, is a number" },
      { pointer: "/priority", message: "must be from -2147483648 to 2147483647" },
      { pointer: "/notBefore", message: 'must be a time such as "2026-01-31T12:00:00Z" (RFC 3339), is other text' },
      { pointer: "/deadline", message: 'must be a time such as "2026-01-31T12:00:00Z" (RFC 3339), is a number' },
      { pointer: "/webhook", message: "must be an object, is a list" },
      { pointer: "/wait", message: 'must be a duration in seconds such as "1.5s", is other text' },
      { pointer: "/input", message: "is nested deeper than 64 levels" },
    ]);
  });

  test("an enum value that is none says what there is", () => {
    const list = (state: unknown) => () => fromNativeJson(TaskServiceListRequestSchema, { state });
    expect(faultsOf(list(["timedout"]))).toEqual([
      {
        pointer: "/state/0",
        message: 'must be one of queued, running, waiting, succeeded, failed, cancelled, timed_out; did you mean "timed_out"?',
      },
    ]);
    expect(faultsOf(list("queued"))).toEqual([{ pointer: "/state", message: "must be a list, is a string" }]);
    for (const odd of [99, "toString", {}, null]) expect(faultsOf(list([odd]))[0]?.pointer).toBe("/state/0");
  });

  test("at most 20 faults are told", () => {
    expect(faultsOf(() => submit(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x${n}`, n]))))).toHaveLength(20);
    expect(
      faultsOf(() => fromNativeJson(TaskServiceListRequestSchema, { state: Array.from({ length: 500 }, () => "no") })),
    ).toHaveLength(20);
  });

  test.each([
    [null, "null"],
    [[], "a list"],
    ["x", "a string"],
    [5, "a number"],
    [true, "a boolean"],
  ])("%j is no message", (given, name) => {
    expect(faultsOf(() => submit(given))).toEqual([{ pointer: "", message: `must be an object, is ${name}` }]);
  });

  test("a field given in both spellings, or two members of a oneof, is a fault", () => {
    expect(faultsOf(() => submit({ requestId: "a", request_id: "b" }))[0]).toMatchObject({
      pointer: "/request_id",
      message: expect.stringContaining("twice"),
    });
    expect(faultsOf(() => fromNativeJson(TaskServiceWatchResponseSchema, { task: {}, end: {} }))).toEqual([
      { pointer: "/end", message: 'excludes "task", which is given too: give only one' },
    ]);
  });
});

describe("any JSON", () => {
  test("survives as a Value, on the wire and back", () => {
    fc.assert(
      fc.property(json, (given) => {
        const expected = JSON.parse(JSON.stringify(given));
        expect(valueToJson(valueFromJson(expected))).toEqual(expected);
        const message = submit({ input: expected });
        expect(toNativeJson(TaskServiceSubmitRequestSchema, message)).toHaveProperty("input", expected);
      }),
    );
  });

  test("is what protobuf itself makes of it", () => {
    fc.assert(
      fc.property(plainJson, (given) => {
        const wired = fromBinary(ValueSchema, toBinary(ValueSchema, valueFromJson(given)));
        expect(toJson(ValueSchema, wired)).toEqual(given);
      }),
    );
  });

  test("keeps __proto__ as data and pollutes nothing", () => {
    const evil = JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": 1}}');
    const back = valueToJson(valueFromJson(evil));
    expect(JSON.stringify(back)).toBe(JSON.stringify(evil));
    expect(
      JSON.stringify(
        toNativeJson(TaskServiceSubmitRequestSchema, submit({ input: evil, labels: JSON.parse('{"__proto__": "x"}') })),
      ),
    ).toContain('"__proto__":"x"');
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  test("is bounded in depth, however it comes", () => {
    expect(() => valueFromJson(nest(64))).not.toThrow();
    expect(() => valueFromJson(nest(65))).toThrow(/64 levels/);
    const deep = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`);
    expect(() => submit({ input: deep })).toThrow(/64 levels/);
    expect(() => fromNativeJson(FailureSchema, { details: { a: deep } })).toThrow(/64 levels/);
    expect(() => checkJsonDepth("[".repeat(1_000_000))).toThrow(/64 levels/);
    expect(() => checkJsonDepth(Buffer.from("[".repeat(65)))).toThrow(/64 levels/);
    expect(() => checkJsonDepth(deep)).toThrow(/64 levels/);
  });

  test("brackets inside strings are no depth, and siblings do not add up", () => {
    for (const fine of [
      `["${"[".repeat(100)}"]`,
      `["\\"${"{".repeat(100)}"]`,
      "[]".repeat(100),
      "[".repeat(64) + "]".repeat(64),
      '"',
      '"\\',
    ]) {
      expect(() => checkJsonDepth(fine)).not.toThrow();
      expect(() => checkJsonDepth(Buffer.from(fine))).not.toThrow();
    }
  });

  test("text and parsed value are judged alike", () => {
    fc.assert(
      fc.property(json, fc.integer({ min: 0, max: 5 }), (given, max) => {
        const fits = (one: unknown) => {
          try {
            checkJsonDepth(one, max);
            return true;
          } catch {
            return false;
          }
        };
        const text = JSON.stringify(given);
        const parsed = JSON.parse(text);
        // A bare string is taken for JSON text, so only other values are compared.
        if (typeof parsed !== "string") expect([fits(text), fits(Buffer.from(text))]).toEqual([fits(parsed), fits(parsed)]);
      }),
    );
  });
});

describe("times", () => {
  test("are read with any offset and fraction, and written in UTC with milliseconds", () => {
    const there = (text: string) => {
      const time = parseTimestamp(text);
      return time && timestampText(time);
    };
    expect(there("2026-11-21T01:02:03Z")).toBe("2026-11-21T01:02:03.000Z");
    expect(there("2026-11-21t01:02:03.987654321z")).toBe("2026-11-21T01:02:03.987Z");
    expect(there("2026-11-21T01:02:03.5+02:00")).toBe("2026-11-20T23:02:03.500Z");
    expect(there("1969-12-31T23:59:59.25Z")).toBe("1969-12-31T23:59:59.250Z");
  });

  test.each([
    "",
    "2026-11-21",
    "2026-11-21T01:02:03",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01 00:00:00Z",
    "0000-01-01T00:00:00Z",
    "+012026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.1234567890Z",
    "now",
    "1767225600",
  ])("%s is no time", (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });

  test("agree with protobuf's own reading", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date("1000-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true }),
        (date) => {
          expect(parseTimestamp(date.toISOString())).toEqual(timestampFromDate(date));
        },
      ),
    );
  });

  test("durations go both ways", () => {
    for (const text of ["0s", "1s", "1.500s", "0.000001s", "-2.250s", "0.100s", "3600s", "0.000000001s"]) {
      const duration = parseDuration(text);
      expect(duration && durationText(duration)).toBe(text);
    }
    expect(parseDuration("1.5s")).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
    for (const bad of ["", "1", "1m", "1.s", ".5s", "s", "1e3s", "999999999999s", " 1s"])
      expect(parseDuration(bad)).toBeUndefined();
  });
});

test("a slip is recognised, nonsense is not", () => {
  const names = ["workflow", "input", "notBefore", "priority"];
  expect(["Workflow", "worklfow", "work_flow", "inptu", "not-before", "prioity"].map((given) => suggest(given, names))).toEqual([
    "workflow",
    "workflow",
    "workflow",
    "input",
    "notBefore",
    "priority",
  ]);
  expect(["", "zzz", "x".repeat(1_000)].map((given) => suggest(given, names))).toEqual([undefined, undefined, undefined]);
});

test("random messages come back as they were", () => {
  const task = fc.record({
    id: fc.string(),
    state: fc.constantFrom(TaskState.QUEUED, TaskState.FAILED, TaskState.TIMED_OUT),
    attempt: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    priority: fc.integer({ min: -100, max: 100 }),
    labels: fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      fc.string(),
    ),
    input: plainJson.map((one) => valueFromJson(one)),
    waitingFor: fc.option(fc.record({ kind: fc.string(), reason: fc.string() }), { nil: undefined }),
  });
  fc.assert(
    fc.property(task, ({ waitingFor, ...rest }) => {
      const message = create(TaskSchema, { ...rest, ...(waitingFor && { waitingFor }) });
      const out = JSON.parse(JSON.stringify(toNativeJson(TaskSchema, message)));
      expect(fromNativeJson(TaskSchema, out)).toEqual(message);
      // The same facts as proto3 JSON, but for enums and times.
      expect(fromJson(TaskSchema, { ...out, state: message.state })).toEqual(message);
    }),
  );
});
