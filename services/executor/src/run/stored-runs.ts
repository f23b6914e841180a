import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Json, NodeWait as StoredWait } from "@longhaul/core";
import type { ExecutionService, Payload, StoredNode } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { failureOf, suspensionOf } from "@longhaul/shared";
import type { NodeWait, StoredRun } from "@longhaul/workflow";
import { type Hold, holdMessage } from "./hold.ts";
import { patiently } from "./patiently.ts";

export type StoredClient = Pick<Client<typeof ExecutionService>, "readPayload" | "listStoredNodes">;

/** Values of one page that are read side by side. */
const readsAtOnce = 16;

/** Stored node runs as the engine takes them, with their values. */
export async function storedRuns(client: StoredClient, hold: Hold, nodes: readonly StoredNode[]): Promise<readonly StoredRun[]> {
  const runs: StoredRun[] = [];
  for (let i = 0; i < nodes.length; i += readsAtOnce)
    runs.push(...(await Promise.all(nodes.slice(i, i + readsAtOnce).map((node) => storedRun(client, hold, node)))));
  return runs;
}

/** Those that did not travel with the claim, page by page. */
export async function* readStored(
  client: StoredClient,
  hold: Hold,
  prefix: string,
  top: boolean,
): AsyncGenerator<readonly StoredRun[]> {
  let pageToken = "";
  do {
    const request = { hold: holdMessage(hold), prefix, top, pageToken };
    const page = await patiently(hold, () => client.listStoredNodes(request));
    if (page.nodes.length > 0) yield await storedRuns(client, hold, page.nodes);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** A value that travelled, or that is fetched. */
export async function readValue(
  client: Pick<StoredClient, "readPayload">,
  hold: Hold,
  payload: Payload | undefined,
): Promise<Json> {
  if (payload?.value.case === "json") return parseJson(payload.value.value);
  if (payload?.value.case !== "key") return null;
  const request = { key: payload.value.value, project: hold.task.project };
  const { json } = await patiently(hold, () => client.readPayload(request));
  return parseJson(json);
}

async function storedRun(client: StoredClient, hold: Hold, node: StoredNode): Promise<StoredRun> {
  const wait = node.wait && suspensionOf(node.wait);
  return {
    path: node.path,
    state: stateOf(node.state),
    tries: node.tries,
    startTimeMs: node.startTime === undefined ? 0 : timestampMs(node.startTime),
    ...(node.output === undefined ? {} : { output: await readValue(client, hold, node.output) }),
    ...(node.error === undefined ? {} : { error: failureOf(node.error) }),
    ...(wait === undefined ? {} : { wait: waitOf(wait), sinceMs: wait.since }),
    ...(node.childTask === "" ? {} : { childTask: node.childTask }),
  };
}

function waitOf({ kind, reason, name, until, details, memory }: StoredWait): NodeWait {
  return {
    kind,
    reason,
    ...(name === undefined ? {} : { name }),
    ...(until === undefined ? {} : { untilMs: until }),
    ...(details === undefined ? {} : { details }),
    ...(memory === undefined ? {} : { memory }),
  };
}

function stateOf(state: NodeState): StoredRun["state"] {
  switch (state) {
    case NodeState.SUCCEEDED:
      return "succeeded";
    case NodeState.FAILED:
      return "failed";
    case NodeState.SKIPPED:
      return "skipped";
    case NodeState.WAITING:
      return "waiting";
    default:
      return "running";
  }
}

function parseJson(bytes: Uint8Array): Json {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
}
