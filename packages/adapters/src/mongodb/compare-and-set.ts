import { LonghaulError } from "@longhaul/core";
import type { Document } from "mongodb";
import { type Commands, durable, type Fallible } from "./connection.ts";
import { longhaulError } from "./mongo-error.ts";
import { readBack } from "./read-back.ts";

/** New values of top-level fields, for one document at one revision. */
export interface FieldChange {
  readonly id: string;
  readonly project: string;
  readonly rev: number;
  /** Never changed by another write; decides whose write it was when an answer is lost. */
  readonly writeId: string;
  /** Replaces these top-level fields, each as a whole. */
  readonly fields: Document;
}

type Outcome = Fallible<"replaced" | "stale">;

/** Positions are found by a linear search, so a statement stays short. */
const changesPerStatement = 64;

/**
 * One statement changes many documents, each by its own values and only at its own revision. It costs the server 70 to 90 us
 * per document where a statement per document costs 120 to 170 (each is planned and dispatched); a document is still changed atomically.
 */
const applyChange = [
  {
    $replaceWith: {
      $let: {
        vars: { at: { $indexOfArray: ["$$ids", "$_id"] } },
        in: {
          $cond: [
            {
              $and: [
                { $eq: ["$rev", { $arrayElemAt: ["$$revs", "$$at"] }] },
                { $eq: ["$project", { $arrayElemAt: ["$$projects", "$$at"] }] },
              ],
            },
            { $mergeObjects: ["$$ROOT", { $arrayElemAt: ["$$values", "$$at"] }] },
            "$$ROOT",
          ],
        },
      },
    },
  },
];

/**
 * Writes each change whose document still has the revision it was made from. The server says how many were written; when that is fewer
 * than sent, or nothing is said at all, the `writeId`s found in the database decide.
 */
export async function compareAndSet(
  mongo: Commands,
  collection: string,
  changes: readonly FieldChange[],
): Promise<readonly Outcome[]> {
  if (changes.length === 0) return [];
  // Of several changes to one document the first is written with the others of the group, the next in a further round.
  const first = new Map<string, number>();
  const later: number[] = [];
  changes.forEach((change, index) => {
    if (first.has(change.id)) later.push(index);
    else first.set(change.id, index);
  });
  if (later.length === 0) return setAll(mongo, collection, changes);

  const results: Outcome[] = changes.map(() => "stale");
  for (const round of [[...first.values()], later]) {
    const outcomes = await compareAndSet(
      mongo,
      collection,
      round.flatMap((index) => changes[index] ?? []),
    );
    round.forEach((index, at) => {
      results[index] = outcomes[at] ?? "stale";
    });
  }
  return results;
}

async function setAll(mongo: Commands, collection: string, changes: readonly FieldChange[]): Promise<readonly Outcome[]> {
  let failed: LonghaulError | undefined;
  try {
    const updates = statementsFor(changes);
    const reply = await mongo.command({ update: collection, updates, ordered: false, writeConcern: durable });
    const [error] = reply["writeErrors"] ?? [];
    if (error === undefined && reply["nModified"] === changes.length) return changes.map(() => "replaced");
    if (error !== undefined) {
      // A document that can't be written stops its statement: find out which by sending them one by one.
      if (changes.length > 1) return await oneByOne(mongo, collection, changes);
      failed = longhaulError(error);
    }
  } catch (error) {
    failed = longhaulError(error);
  }
  const found = await readBack(
    mongo,
    collection,
    changes.map((change) => change.id),
    "writeId",
  ).catch(longhaulError);
  return changes.map((change) => {
    if (found instanceof LonghaulError) return failed ?? found;
    if (found.get(change.id) === change.writeId) return "replaced";
    // After an error only what is found is known; what is not may still be on its way.
    return failed ?? "stale";
  });
}

async function oneByOne(mongo: Commands, collection: string, changes: readonly FieldChange[]): Promise<readonly Outcome[]> {
  const results: Outcome[] = [];
  for (const change of changes) results.push(...(await setAll(mongo, collection, [change])));
  return results;
}

function statementsFor(changes: readonly FieldChange[]): readonly Document[] {
  const statements: Document[] = [];
  for (let from = 0; from < changes.length; from += changesPerStatement) {
    const part = changes.slice(from, from + changesPerStatement);
    const ids = part.map((change) => change.id);
    const projects = part.map((change) => change.project);
    const revs = part.map((change) => change.rev);
    const values = part.map(({ fields, rev, writeId }) => ({ rev: rev + 1, writeId, ...fields }));
    // The project routes the statement where the collection is sharded; the hint spares the planner the indexes that begin with it.
    const q = { _id: { $in: ids }, project: { $in: [...new Set(projects)] } };
    statements.push({ q, u: applyChange, c: { ids, projects, revs, values }, multi: true, hint: { _id: 1 } });
  }
  return statements;
}
