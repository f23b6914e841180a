import { randomUUID } from "node:crypto";
import {
  freeSlots,
  LonghaulError,
  partitionOf,
  type Resource,
  type ResourceStore,
  type Slot,
  type StoredResource,
} from "@longhaul/core";

/** Who holds slots of which limit. Every change is a compare-and-set; nothing is kept in memory. */
export interface SlotBook {
  /** Every slot of a limit that is taken, the earliest first within each part. */
  read(project: string, key: string): Promise<readonly Slot[]>;
  /**
   * Takes a slot for each hold, in their order, as far as there are some; one that is taken already is taken. Answers the ids of the tasks that have
   * one. `concurrency` is asked behind the read that it decides about, so that a limit that was lowered before holds.
   */
  take(project: string, key: string, holds: readonly Hold[], concurrency: () => Promise<number>): Promise<ReadonlySet<string>>;
  /** Frees the slots that these tasks took for these holds or earlier ones; a repeat is harmless. Answers how many there were. */
  free(project: string, key: string, holds: readonly Hold[]): Promise<number>;
  /** Outruns whoever decides by what the limit was until now. */
  touch(project: string, key: string): Promise<void>;
  /** When somebody must look at the limit again; undefined for never. */
  setWake(project: string, key: string, wakeAt: number | undefined): Promise<void>;
}

export type Hold = Pick<Slot, "taskId" | "hold">;

/** Slots in one document; larger limits have several, each with its own share. */
const partSlots = 1_000;
/** Each round means that somebody else got on. */
const maxRounds = 64;
/** How long a limit may be left alone while slots are taken: the net behind debts and bells. */
export const slotLookMs = 10_000;

interface PartRecord {
  /** How many parts there are; in the first one only. */
  readonly parts: number;
  readonly held: readonly (readonly [taskId: string, hold: number, since: number])[];
}
interface Part {
  readonly index: number;
  readonly record: PartRecord;
  readonly stored: StoredResource | undefined;
}

/** The limit that a document of slots belongs to. */
export function keyOfPart({ name }: Pick<Resource, "name">): string {
  return name.slice(0, name.lastIndexOf("#"));
}

export function slotBook(store: Pick<ResourceStore, "get" | "insert" | "replace">, now: () => number): SlotBook {
  const nameOf = (project: string, key: string, index: number) => ({ project, kind: "slots" as const, name: `${key}#${index}` });

  async function partsOf(project: string, key: string): Promise<readonly Part[]> {
    const [first] = await store.get([nameOf(project, key, 0)]);
    if (first === undefined) return [];
    const record = recordOf(first);
    const others = Array.from({ length: record.parts - 1 }, (_, at) => nameOf(project, key, at + 1));
    const rest = others.length === 0 ? [] : await store.get(others);
    return [
      { index: 0, record, stored: first },
      ...rest.map((stored, at) => ({ index: at + 1, record: stored === undefined ? empty : recordOf(stored), stored })),
    ];
  }

  async function write(project: string, key: string, part: Part, record: PartRecord, wakeAt?: number): Promise<boolean> {
    const at = now();
    const known = part.stored?.resource;
    const next: Resource = {
      ...nameOf(project, key, part.index),
      partition: partitionOf(project),
      uid: known?.uid ?? randomUUID(),
      createTime: known?.createTime ?? at,
      updateTime: at,
      json: JSON.stringify(record),
      ...(wakeAt === undefined ? {} : { wakeAt }),
    };
    if (part.stored === undefined) return (await store.insert(next)) === "inserted";
    return (await store.replace(next, part.stored.rev)) === "replaced";
  }

  /** The first part says when the limit is looked at; while something changes, that is soon. */
  function wakeOf(part: Part): number | undefined {
    return part.index === 0 ? now() + slotLookMs : undefined;
  }

  async function rounds<T>(key: string, round: () => Promise<T | undefined>): Promise<T> {
    for (let tries = 0; tries < maxRounds; tries++) {
      const result = await round();
      if (result !== undefined) return result;
    }
    throw new LonghaulError("conflict", `The slots of limit "${key}" kept changing; trying again later.`);
  }

  return {
    async read(project, key) {
      return (await partsOf(project, key)).flatMap(slotsOf);
    },

    take: (project, key, holds, concurrency) =>
      rounds(key, async () => {
        const parts = await partsOf(project, key);
        const most = await concurrency();
        const taken = new Map(parts.flatMap(slotsOf).map((slot) => [slot.taskId, slot.hold]));
        const have = holds.filter(({ taskId, hold }) => most === Number.POSITIVE_INFINITY || taken.get(taskId) === hold);
        const done = new Set(have.map(({ taskId }) => taskId));
        // A slot of an earlier hold of the same task is on its way out: until then the task waits.
        const missing = holds.filter(({ taskId }) => !done.has(taskId) && !taken.has(taskId));
        const used = parts.reduce((sum, { record }) => sum + record.held.length, 0);
        const room = freeSlots(most, used);
        if (missing.length === 0 || room === 0) return done;
        const count = Math.max(1, Math.ceil(most / partSlots));
        const all = Array.from(
          { length: count },
          (_, index): Part => parts[index] ?? { index, record: empty, stored: undefined },
        );
        const share = ({ index, record }: Part): number => Math.min(partSlots, most - index * partSlots) - record.held.length;
        const part = all.find((one) => share(one) > 0);
        if (part === undefined) return done;
        const [first] = all;
        if (part.index > 0 && first !== undefined && first.record.parts <= part.index) {
          // Known of before it is used: what nobody reads can't be freed.
          await write(project, key, first, { ...first.record, parts: part.index + 1 }, wakeOf(first));
          return undefined;
        }
        const at = now();
        const given = missing.slice(0, Math.min(room, share(part)));
        const held = [...part.record.held, ...given.map(({ taskId, hold }) => [taskId, hold, at] as const)];
        if (!(await write(project, key, part, { ...part.record, held }, wakeOf(part)))) return undefined;
        for (const { taskId } of given) done.add(taskId);
        // Another part may have more.
        return given.length === missing.length || given.length === room ? done : undefined;
      }),

    free: (project, key, holds) => {
      const upTo = new Map<string, number>();
      for (const { taskId, hold } of holds) upTo.set(taskId, Math.max(hold, upTo.get(taskId) ?? 0));
      let freed = 0;
      return rounds(key, async () => {
        let isStale = false;
        for (const part of await partsOf(project, key)) {
          const held = part.record.held.filter(([taskId, hold]) => hold > (upTo.get(taskId) ?? -1));
          const gone = part.record.held.length - held.length;
          if (gone === 0) continue;
          if (await write(project, key, part, { ...part.record, held }, wakeOf(part))) freed += gone;
          else isStale = true;
        }
        return isStale ? undefined : freed;
      });
    },

    async touch(project, key) {
      await rounds(key, async () => {
        const parts = await partsOf(project, key);
        // Whoever finds nothing there and is about to make it must fail too.
        if (parts.length === 0) {
          const first: Part = { index: 0, record: empty, stored: undefined };
          return (await write(project, key, first, empty, wakeOf(first))) ? true : undefined;
        }
        for (const part of parts)
          if (part.stored !== undefined && !(await write(project, key, part, part.record, wakeOf(part)))) return undefined;
        return true;
      });
    },

    async setWake(project, key, wakeAt) {
      const [first] = await partsOf(project, key);
      // Stale means that somebody changed it meanwhile, and said when to look.
      if (first !== undefined) await write(project, key, first, first.record, wakeAt);
    },
  };
}

const empty: PartRecord = { parts: 1, held: [] };

function recordOf({ resource }: StoredResource): PartRecord {
  // Written by `write` and nobody else.
  const record: PartRecord = JSON.parse(resource.json);
  return record;
}

function slotsOf({ record }: Part): readonly Slot[] {
  return record.held.map(([taskId, hold, since]) => ({ taskId, hold, since }));
}
