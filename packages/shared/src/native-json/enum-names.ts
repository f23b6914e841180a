import type { DescEnum } from "@bufbuild/protobuf";

/** The short, lower-case names of an enum's values: `TASK_STATE_TIMED_OUT` is `timed_out`. */
export interface EnumNames {
  /** Short name by number. */
  readonly byNumber: ReadonlyMap<number, string>;
  /** Number by short name, and by the name in the .proto file. */
  readonly byName: ReadonlyMap<string, number>;
  /** What a caller may send, for messages. */
  readonly offered: readonly string[];
}

const known = new WeakMap<DescEnum, EnumNames>();

export function enumNames(desc: DescEnum): EnumNames {
  const found = known.get(desc);
  if (found) return found;
  const byNumber = new Map<number, string>();
  const byName = new Map<string, number>();
  const prefix = desc.sharedPrefix?.length ?? 0;
  for (const value of desc.values) {
    const short = value.name.slice(prefix).toLowerCase();
    if (!byNumber.has(value.number)) byNumber.set(value.number, short);
    byName.set(short, value.number);
    byName.set(value.name, value.number);
  }
  const names = { byNumber, byName, offered: [...byNumber].filter(([number]) => number !== 0).map(([, name]) => name) };
  known.set(desc, names);
  return names;
}
