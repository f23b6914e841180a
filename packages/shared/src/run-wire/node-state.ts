import type { NodeStateName } from "@longhaul/core";
import { NodeState } from "@longhaul/proto/task";

const numbers = {
  pending: NodeState.PENDING,
  running: NodeState.RUNNING,
  waiting: NodeState.WAITING,
  succeeded: NodeState.SUCCEEDED,
  failed: NodeState.FAILED,
  skipped: NodeState.SKIPPED,
  cancelled: NodeState.CANCELLED,
} as const satisfies Record<NodeStateName, NodeState>;

/** A node's state on the wire. */
export function nodeStateNumber(state: NodeStateName): NodeState {
  return numbers[state];
}

/** The name of a node's state; undefined for unspecified and for numbers of a later version. */
export function nodeStateName(state: NodeState): NodeStateName | undefined {
  return (Object.keys(numbers) as NodeStateName[]).find((name) => numbers[name] === state);
}
