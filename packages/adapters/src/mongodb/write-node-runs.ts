import type { LonghaulError, NodeRun } from "@longhaul/core";
import type { Document } from "mongodb";
import { type Commands, durable } from "./connection.ts";
import { longhaulError } from "./mongo-error.ts";
import { nodeRunToDocument } from "./node-run-document.ts";
import { collections } from "./schema.ts";

const duplicateKey = 11_000;

/**
 * Writes runs, each only over one of an equal or lower attempt. Most are new, and an insert costs a fifth of an update, so all are
 * inserted and only those that were there already are updated. Repeating the whole is harmless. Answers an error per run that failed.
 */
export async function writeNodeRuns(mongo: Commands, runs: readonly NodeRun[]): Promise<readonly (LonghaulError | undefined)[]> {
  const errors: (LonghaulError | undefined)[] = runs.map(() => undefined);
  if (runs.length === 0) return errors;
  // Of several runs of one node the highest attempt wins, the last of equals: as if they had come one after the other.
  const winners = new Map<string, number>();
  runs.forEach((run, index) => {
    const key = `${run.taskId}/${run.path}`;
    const other = winners.get(key);
    if (other === undefined || (runs[other]?.attempt ?? 0) <= run.attempt) winners.set(key, index);
  });
  const indexes = [...winners.values()];
  const documents = indexes.flatMap((index) => (runs[index] ? nodeRunToDocument(runs[index]) : []));

  const write = async (command: Document): Promise<readonly Document[]> =>
    (await mongo.command({ ...command, ordered: false, writeConcern: durable }))["writeErrors"] ?? [];

  const known: number[] = [];
  for (const error of await write({ insert: collections.nodeRuns, documents })) {
    if (error["code"] === duplicateKey) known.push(error["index"]);
    else fail(error["index"], error);
  }
  if (known.length > 0) {
    const updates = known.flatMap((at) => {
      const document = documents[at];
      return document ? { q: { _id: document._id, attempt: { $lte: document.attempt } }, u: document, hint: { _id: 1 } } : [];
    });
    for (const error of await write({ update: collections.nodeRuns, updates })) fail(known[error["index"]], error);
  }
  return errors;

  function fail(at: number | undefined, error: Document): void {
    const index = at === undefined ? undefined : indexes[at];
    if (index !== undefined) errors[index] = longhaulError(error);
  }
}
