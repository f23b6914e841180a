import type { Api } from "./api.ts";
import { type Json, listAt, textAt } from "./json.ts";
import { withQuery } from "./route.ts";

const maxPage = 500;

export interface Listed {
  readonly items: readonly Json[];
  /** True when the server has more than was asked for. */
  readonly hasMore: boolean;
}

/** Reads a list over its pages, up to `limit` items. `field` is the list's name in the answer. */
export async function listAll(
  api: Api,
  path: string,
  field: string,
  {
    limit,
    query = {},
  }: { readonly limit: number; readonly query?: Readonly<Record<string, string | readonly string[] | undefined>> },
): Promise<Listed> {
  const items: Json[] = [];
  for (let pageToken: string | undefined; ; ) {
    const pageSize = Math.min(maxPage, limit - items.length);
    const page = await api.call("GET", withQuery(path, { ...query, pageSize, pageToken }));
    items.push(...listAt(page, field));
    pageToken = textAt(page, "nextPageToken");
    if (pageToken === "") return { items, hasMore: false };
    if (items.length >= limit) return { items, hasMore: true };
  }
}
