import { randomBytes } from "node:crypto";
import { type Db, type Document, MongoClient } from "mongodb";

export interface Finish {
  readonly id: string;
  readonly head: Document;
  readonly outputs: readonly string[];
}

/** The grouped writes of tasks in MongoDB. Each resolves when it is durable on a majority, and rejects unless every document was written. */
export interface MongoWrites {
  insert(tasks: readonly { readonly id: string; readonly workflow: string; readonly input: string }[]): Promise<void>;
  claim(ids: readonly string[]): Promise<void>;
  finish(tasks: readonly Finish[]): Promise<void>;
  read(ids: readonly string[]): Promise<readonly Document[]>;
  close(): Promise<void>;
}

const durable = { w: "majority", j: true };

/**
 * One statement changes many documents, each at its own revision and by its own values: half the server's work of one statement each
 * (as the product's store does it, because the floor should be the best known way).
 */
const applyChange: readonly Document[] = [
  {
    $replaceWith: {
      $let: {
        vars: { at: { $indexOfArray: ["$$ids", "$_id"] } },
        in: {
          $cond: [
            { $eq: ["$rev", { $arrayElemAt: ["$$revs", "$$at"] }] },
            { $mergeObjects: ["$$ROOT", { $arrayElemAt: ["$$values", "$$at"] }] },
            "$$ROOT",
          ],
        },
      },
    },
  },
];
const changesPerStatement = 64;

export async function mongoWrites(url: string): Promise<MongoWrites> {
  const client = await MongoClient.connect(url, { ignoreUndefined: true });
  const db: Db = client.db();
  await db.createCollection("tasks");
  await db.createCollection("node_runs");
  await db.collection("tasks").createIndex({ wakeAt: 1, _id: 1 }, { partialFilterExpression: { wakeAt: { $gte: 0 } } });

  async function insertInto(collection: string, documents: readonly Document[]): Promise<void> {
    const answer = await db.command({ insert: collection, documents, ordered: false, writeConcern: durable });
    if (answer["n"] !== documents.length) throw new Error(`only ${answer["n"]} of ${documents.length} were inserted`);
  }

  async function replace(
    changes: readonly { readonly id: string; readonly rev: number; readonly value: Document }[],
  ): Promise<void> {
    const updates: Document[] = [];
    for (let from = 0; from < changes.length; from += changesPerStatement) {
      const some = changes.slice(from, from + changesPerStatement);
      const ids = some.map((one) => one.id);
      updates.push({
        q: { _id: { $in: ids } },
        u: applyChange,
        c: { ids, revs: some.map((one) => one.rev), values: some.map((one) => one.value) },
        multi: true,
        hint: { _id: 1 },
      });
    }
    const answer = await db.command({ update: "tasks", updates, ordered: false, writeConcern: durable });
    if (answer["nModified"] !== changes.length) throw new Error(`only ${answer["nModified"]} of ${changes.length} were changed`);
  }

  return {
    insert: (tasks) =>
      insertInto(
        "tasks",
        tasks.map(({ id, workflow, input }) => {
          const now = Date.now();
          const head = { version: 1, attempt: 0, tries: 0, queueing: "ticketed" };
          const writeId = newWriteId();
          return { _id: id, workflow, createTime: now, input, rev: 0, writeId, state: "queued", wakeAt: now + 30_000, head };
        }),
      ),
    claim(ids) {
      const now = Date.now();
      const head = { version: 2, attempt: 1, tries: 1, executor: "floor", startTime: now, leaseUntil: now + 30_000 };
      return replace(
        ids.map((id) => ({ id, rev: 0, value: { rev: 1, writeId: newWriteId(), state: "running", wakeAt: now + 30_000, head } })),
      );
    },
    async finish(tasks) {
      const now = Date.now();
      const times = { attempt: 1, report: 1, tries: 1, startTime: now, endTime: now };
      await insertInto(
        "node_runs",
        tasks.flatMap(({ id, outputs }) =>
          outputs.map((output, i) => {
            const path = `n${i + 1}`;
            return { _id: `${id}/${path}`, taskId: id, path, kind: "transform", state: "succeeded", ...times, output };
          }),
        ),
      );
      await replace(
        tasks.map(({ id, head, outputs }) => {
          const value = {
            rev: 2,
            writeId: newWriteId(),
            state: "succeeded",
            wakeAt: null,
            head: { ...head, output: outputs.at(-1) },
          };
          return { id, rev: 1, value };
        }),
      );
    },
    read: (ids) =>
      db
        .collection<{ _id: string }>("tasks")
        .find({ _id: { $in: [...ids] } })
        .toArray(),
    close: () => client.close(),
  };
}

function newWriteId(): string {
  return randomBytes(9).toString("base64");
}
