import { expect, test } from "vitest";
import { executorSubject, partitionSubject, taskSubject } from "./live.ts";
import { OutboundError } from "./outbound.ts";

test("subjects of tasks, executors and partitions never meet", () => {
  const subjects = [taskSubject(7, "018b-1"), executorSubject("7"), partitionSubject(7)];
  expect(subjects).toStrictEqual(["task.7.018b-1", "executor.7", "partition.7"]);
});
test("an outbound error carries its fault and, where there is one, its cause", () => {
  const cause = new Error("ECONNREFUSED");
  const wrapped = new OutboundError("connect_failed", "No connection.", cause);
  expect(wrapped).toMatchObject({ name: "OutboundError", fault: "connect_failed", message: "No connection.", cause });
  expect(new OutboundError("timeout", "Too slow.")).not.toHaveProperty("cause");
  expect(wrapped).toBeInstanceOf(Error);
});
