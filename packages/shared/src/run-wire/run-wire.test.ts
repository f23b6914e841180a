import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type NodeWait, nodeStates, type WaitingFor, waitKinds } from "@longhaul/core";
import { SuspensionSchema } from "@longhaul/proto/execution_service";
import { FailureSchema, SpendSchema, UsageSchema, WaitingForSchema } from "@longhaul/proto/task";
import { expect, test } from "vitest";
import { failureMessage, failureOf } from "./failure.ts";
import { nodeStateName, nodeStateNumber } from "./node-state.ts";
import { suspensionMessage, suspensionOf, waitingMessage, waitingOf } from "./node-wait.ts";
import { spendMessage, spentOf, usageMessage, usageOf } from "./spend.ts";

const t0 = 1_700_000_000_123;

test.each<NodeWait>([
  ...waitKinds.map((kind) => ({ kind, since: t0, reason: "It waits." })),
  {
    kind: "approval",
    since: t0,
    until: t0 + 60_000,
    name: "go",
    reason: "It waits for an approval.",
    details: { prompt: "Publish?", choices: ["yes", "no"], "a.b": null },
    memory: [1, { deep: "ä🙂" }],
  },
  { kind: "child", since: t0, reason: "", details: null, memory: false },
])("what a node waits for goes over the wire and comes back: $kind", (wait) => {
  const sent = toBinary(SuspensionSchema, suspensionMessage(wait));
  expect(suspensionOf(fromBinary(SuspensionSchema, sent))).toStrictEqual(wait);
});

test.each<WaitingFor>([
  { kind: "timer", node: "pause", since: t0, until: t0 + 5, reason: "It waits." },
  { kind: "signal", node: "each[3].ask", since: t0, name: "go", reason: "It waits." },
])("what a task waits for goes over the wire and comes back, with the count of all that wait: $node", (wait) => {
  const message = fromBinary(WaitingForSchema, toBinary(WaitingForSchema, waitingMessage(wait, 4_000)));
  expect(message.count).toBe(4_000);
  expect(waitingOf(message)).toStrictEqual(wait);
});

test("a kind of waiting that this version does not know is refused by name", () => {
  const refusal = expect.objectContaining({ code: "invalid_argument", message: expect.stringContaining('"weather"') });
  expect(() => suspensionOf(create(SuspensionSchema, { kind: "weather" }))).toThrow(refusal);
  expect(() => waitingOf(create(WaitingForSchema, { kind: "weather" }))).toThrow(refusal);
});

test("times that were left out are the beginning of time", () => {
  expect(suspensionOf(create(SuspensionSchema, { kind: "timer" }))).toStrictEqual({ kind: "timer", since: 0, reason: "" });
  expect(waitingOf(create(WaitingForSchema, { kind: "timer" }))).toStrictEqual({ kind: "timer", node: "", since: 0, reason: "" });
});

test("what was spent goes over the wire in whole numbers, and is never less than nothing", () => {
  const spent = { tokens: 12_345_678_901, calls: 3, nodeRuns: 40_000, runMs: 90_061_001 };
  expect(spentOf(fromBinary(SpendSchema, toBinary(SpendSchema, spendMessage(spent))))).toStrictEqual(spent);
  expect(spentOf(spendMessage({ tokens: 0.6, calls: 1.2, nodeRuns: 0, runMs: 5.5 }))).toStrictEqual({
    tokens: 1,
    calls: 1,
    nodeRuns: 0,
    runMs: 6,
  });
  expect(spentOf(spendMessage({ tokens: -5, calls: -1, nodeRuns: -1, runMs: -1 }))).toStrictEqual(spentOf(create(SpendSchema)));
});

test.each([
  { inputTokens: 10, outputTokens: 20, totalTokens: 31, firstTokenMs: 1_250 },
  { inputTokens: 0, outputTokens: 0, totalTokens: 0 },
])("what calls to models took goes over the wire and comes back: $totalTokens tokens", (usage) => {
  expect(usageOf(fromBinary(UsageSchema, toBinary(UsageSchema, usageMessage(usage))))).toStrictEqual(usage);
});

test("failures and states of nodes go over the wire and come back", () => {
  for (const failure of [
    { code: "node_failed", message: "No.", retryable: false },
    { code: "node_timeout", message: "Late.", retryable: true, node: "a", details: { status: 504 } },
  ]) {
    expect(failureOf(fromBinary(FailureSchema, toBinary(FailureSchema, failureMessage(failure))))).toStrictEqual(failure);
  }
  expect(nodeStates.map((state) => nodeStateName(nodeStateNumber(state)))).toStrictEqual([...nodeStates]);
  expect(nodeStateName(0)).toBeUndefined();
});
