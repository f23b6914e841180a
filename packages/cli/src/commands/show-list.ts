import { type Exit, exits } from "../cli-error.ts";
import { listAll } from "../client/pages.ts";
import { intOption } from "../input/read-options.ts";
import type { Column } from "../output/table.ts";
import type { Session } from "../session.ts";

export const limitFlags = "--limit <number>";
export const limitText = "show at most so many";
export const limitOption = intOption(1, 1_000_000);
export const defaultLimit = 50;

export interface ShownList {
  readonly path: string;
  /** Name of the list in the API's answer, and in ours. */
  readonly field: string;
  readonly columns: readonly Column[];
  readonly limit: number;
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Shows a list of the API over its pages. */
export async function showList({ api, show }: Session, { path, field, columns, limit, query }: ShownList): Promise<Exit> {
  const { items, hasMore } = await listAll(api, path, field, { limit, ...(query && { query }) });
  show.result({ [field]: items }, () => show.table(columns, items));
  if (hasMore) show.note(`there are more; --limit ${limit * 10} shows more`);
  return exits.ok;
}
