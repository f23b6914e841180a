import { LonghaulError } from "@longhaul/core";
import type { Document } from "mongodb";
import { type Commands, durable, type Fallible } from "./connection.ts";
import { longhaulError } from "./mongo-error.ts";
import { readBack } from "./read-back.ts";

/** What every record carries from its first write on; `insertId` never changes. */
interface NewDocument extends Document {
  readonly _id: string;
  readonly insertId: string;
}

const duplicateKey = 11_000;

/**
 * Inserts what is not there yet, in one command. A duplicate key means "exists", unless the document found carries this very insert's
 * `insertId`: then an earlier try, whose answer was lost, has written it.
 */
export async function insertNew(
  mongo: Commands,
  collection: string,
  documents: readonly NewDocument[],
): Promise<readonly Fallible<"inserted" | "exists">[]> {
  const results: Fallible<"inserted" | "exists">[] = documents.map(() => "inserted");
  const unsure = new Map<number, LonghaulError | undefined>();
  try {
    const reply = await mongo.command({ insert: collection, documents, ordered: false, writeConcern: durable });
    const errors: readonly Document[] = reply["writeErrors"] ?? [];
    for (const error of errors) {
      if (error["code"] === duplicateKey) unsure.set(error["index"], undefined);
      else results[error["index"]] = longhaulError(error);
    }
  } catch (error) {
    for (const index of documents.keys()) unsure.set(index, longhaulError(error));
  }
  if (unsure.size === 0) return results;

  const asked = [...unsure.keys()].flatMap((index) => documents[index]?._id ?? []);
  const found = await readBack(mongo, collection, asked, "insertId").catch(longhaulError);
  for (const [index, error] of unsure) {
    const document = documents[index];
    if (!document) continue;
    const mine = !(found instanceof LonghaulError) && found.get(document._id) === document.insertId;
    // After an error only what is found is known; what is not may still be on its way.
    results[index] = mine ? "inserted" : (error ?? (found instanceof LonghaulError ? found : "exists"));
  }
  return results;
}
