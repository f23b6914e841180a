import { floorSql, openFloorFile } from "../sqlite-file.ts";

interface Run {
  readonly path: string;
  readonly rest: string;
  readonly output: string;
}

/** The writes of a task, each told when it is on disk; all that come in one turn of the event loop are one transaction. */
export interface SoloFloorStore {
  insert(id: string, workflow: string, now: number, head: string, input: string, then: () => void): void;
  claim(id: string, leaseUntil: number, head: string, then: () => void): void;
  finish(id: string, head: string, output: string, runs: readonly Run[], then: () => void): void;
  hasEnded(id: string): boolean;
  /** The task as JSON. */
  show(id: string): string;
}

export function soloFloorStore(file: string): SoloFloorStore {
  const db = openFloorFile(file);
  const [begin, commit] = [db.prepare("BEGIN IMMEDIATE"), db.prepare("COMMIT")];
  const insertTask = db.prepare(floorSql.insertTask);
  const claimTask = db.prepare(floorSql.claimTask);
  const finishTask = db.prepare(floorSql.finishTask);
  const insertNode = db.prepare(floorSql.insertNode);
  const getTask = db.prepare(floorSql.getTask).raw(true);
  let writes: (() => void)[] = [];
  let thens: (() => void)[] = [];

  function write(apply: () => void, then: () => void): void {
    writes.push(apply);
    thens.push(then);
    if (writes.length === 1) setImmediate(commitAll);
  }

  function commitAll(): void {
    const [applying, telling] = [writes, thens];
    writes = [];
    thens = [];
    begin.run();
    for (const apply of applying) apply();
    commit.run();
    for (const tell of telling) tell();
  }

  function changeOne(result: { readonly changes: number }): void {
    if (result.changes !== 1) throw new Error("a task was not at the revision it should have had");
  }

  const read = (id: string): readonly unknown[] | undefined => getTask.get([id]) as readonly unknown[] | undefined;

  return {
    insert: (id, workflow, now, head, input, then) =>
      write(() => changeOne(insertTask.run([id, workflow, now, now + 86_400_000, head, input])), then),
    claim: (id, leaseUntil, head, then) => write(() => changeOne(claimTask.run([leaseUntil, head, id, 0])), then),
    finish: (id, head, output, runs, then) =>
      write(() => {
        changeOne(finishTask.run([head, output, id, 1]));
        for (const run of runs) insertNode.run([id, run.path, run.rest, run.output]);
      }, then),
    hasEnded: (id) => read(id)?.[2] === "succeeded",
    show(id) {
      const row = read(id);
      if (row === undefined) return "null";
      const head: { readonly endTime?: number } = JSON.parse(String(row[3]));
      const ended = head.endTime === undefined ? "" : `,"output":${row[5]},"endTime":"${new Date(head.endTime).toISOString()}"`;
      return `{"id":"${id}","workflow":"${row[1]}","state":"${row[2]}","input":${row[4]}${ended}}`;
    },
  };
}
