import { create, type DescField, type DescMessage, fromBinary, type Message, ScalarType, toBinary } from "@bufbuild/protobuf";
import { StructSchema, timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import {
  ExecutionService,
  ExecutionServiceReportRequestSchema,
  NodeReportSchema,
  TaskReportSchema,
} from "@longhaul/proto/execution_service";
import { IntakeService } from "@longhaul/proto/intake_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import fc, { type GeneratorValue } from "fast-check";
import { describe, expect, test } from "vitest";
import { codecOf, newMessage, newTimestamp } from "./message-codec.ts";

const services = [TaskService, WorkflowService, ExecutionService, IntakeService, NotifierService, DeliveryService];
const types = [...new Set(services.flatMap((service) => service.methods.flatMap(({ input, output }) => [input, output])))];

/** Strings of every length class, with letters of one to four bytes. */
const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.integer({ min: 40, max: 400 }).map((length) => "x".repeat(length)),
  fc.integer({ min: 40, max: 400 }).map((length) => "日".repeat(length)),
);

function scalarOf(field: DescField, g: GeneratorValue): unknown {
  if (field.enum) return field.enum.values[g(fc.nat, { max: field.enum.values.length - 1 })]?.number;
  switch (field.scalar) {
    case ScalarType.STRING:
      return g(() => text);
    case ScalarType.BYTES:
      return g(fc.uint8Array, { maxLength: 300 });
    case ScalarType.BOOL:
      return g(fc.boolean);
    case ScalarType.INT64:
      return g(fc.bigInt, -(2n ** 63n), 2n ** 63n - 1n);
    case ScalarType.DOUBLE:
      return g(fc.double);
    default:
      return g(fc.integer);
  }
}

function fieldValue(field: DescField, g: GeneratorValue, depth: number): unknown {
  if (field.message?.typeName === StructSchema.typeName && field.parent.typeName !== ValueSchema.typeName) {
    return { a: 1, b: [null, "x", { c: true }] };
  }
  return field.message ? messageOf(field.message, g, depth - 1) : scalarOf(field, g);
}

/** A message with each of its fields set or not. */
function messageOf(type: DescMessage, g: GeneratorValue, depth: number): Message {
  const init: Record<string, unknown> = {};
  for (const member of type.members) {
    if (member.kind === "oneof") {
      const field = member.fields[g(fc.nat, { max: member.fields.length })];
      if (field && (depth > 0 || !field.message))
        init[member.localName] = { case: field.localName, value: fieldValue(field, g, depth) };
    } else if (g(fc.boolean) && (depth > 0 || !member.message)) {
      const count = g(fc.nat, { max: 3 });
      if (member.fieldKind === "list") init[member.localName] = Array.from({ length: count }, () => fieldValue(member, g, depth));
      else if (member.fieldKind === "map") {
        init[member.localName] = Object.fromEntries(
          Array.from({ length: count }, (_, i) => [`k${i}`, fieldValue(member, g, depth)]),
        );
      } else init[member.localName] = fieldValue(member, g, depth);
    }
  }
  return create(type, init);
}

/** Buffers are Uint8Arrays too, which toEqual would tell apart. */
function bare(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bare(inner)]));
}

describe.each(types.map((type) => ({ name: type.typeName, type })))("$name", ({ type }) => {
  test("is written and read as protobuf-es does it", () => {
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const message = messageOf(type, g, 4);
        const data = toBinary(type, message);
        expect(Buffer.compare(codecOf(type).encode(message), data)).toBe(0);
        const read = codecOf(type).decode(Buffer.from(data));
        expect(bare(read)).toEqual(bare(fromBinary(type, data)));
        expect(read.$typeName).toBe(type.typeName);
      }),
      { numRuns: 40 },
    );
  });
});

const type = ExecutionServiceReportRequestSchema;

test("fields of a later version are passed over", () => {
  const known = codecOf(type).encode(create(type, { executor: "e" }));
  // Field 900 as a varint, as 8 bytes, as a string and as 4 bytes.
  const later = [
    [0xa0, 0x38, 0x96, 0x01],
    [0xa1, 0x38, 1, 2, 3, 4, 5, 6, 7, 8],
    [0xa2, 0x38, 2, 65, 66],
    [0xa5, 0x38, 1, 2, 3, 4],
  ].flat();
  expect(codecOf(type).decode(Buffer.concat([Buffer.from(later), known]))).toMatchObject({ executor: "e" });
});

test("what is cut off, longer than it says, or too deep is refused", () => {
  const data = codecOf(type).encode(create(type, { executor: "executor", reports: [{ taskId: "t", nodes: [{ path: "n" }] }] }));
  // A cut between two fields leaves a shorter message that is one.
  const cuts = Array.from({ length: data.length - 1 }, (_, at) => data.subarray(0, at + 1)).filter((cut) => {
    try {
      fromBinary(type, cut);
      return false;
    } catch {
      return true;
    }
  });
  expect(cuts.length).toBeGreaterThan(10);
  for (const cut of cuts) expect(() => codecOf(type).decode(cut)).toThrow();
  expect(() => codecOf(type).decode(Buffer.from([0x12, 0x02, 0x0a, 0x05, 1, 2, 3, 4, 5]))).toThrow(/behind the end/);
  expect(() => codecOf(type).decode(Buffer.from([0x0f]))).toThrow(/wire type/);
  let list: Message = create(ValueSchema, { kind: { case: "numberValue", value: 1 } });
  for (let level = 0; level < 150; level++) {
    list = create(ValueSchema, { kind: { case: "listValue", value: { values: [list as never] } } });
  }
  expect(() => codecOf(ValueSchema).decode(codecOf(ValueSchema).encode(list))).toThrow(/nested/);
});

test("a number that its field can't hold is refused, and the next message is whole", () => {
  const wrong = create(type, { executor: "e", reports: [{ taskId: "t", attempt: 1.5 }] });
  expect(() => codecOf(type).encode(wrong)).toThrow(/1.5 is no int32/);
  expect(() => codecOf(type).encode(create(type, { reports: [{ taskId: "t", attempt: 2 ** 31 }] }))).toThrow(/no int32/);
  const right = create(type, { executor: "e" });
  expect(Buffer.compare(codecOf(type).encode(right), toBinary(type, right))).toBe(0);
});

test("a new message is what create makes, with fields of its own", () => {
  for (const one of types) expect(newMessage(one, {})).toEqual(create(one));
  const report = newMessage(TaskReportSchema, { taskId: "t", outcome: { case: undefined } });
  expect(report).toEqual(create(TaskReportSchema, { taskId: "t" }));
  report.nodes.push(create(NodeReportSchema));
  expect(newMessage(TaskReportSchema, {}).nodes).toEqual([]);
});

test.each([0, 1, 999, 1_000, -1, -1_500, 1_763_700_000_123])("the time %i is what protobuf-es makes of it", (ms) => {
  expect(newTimestamp(ms)).toEqual(timestampFromMs(ms));
});
