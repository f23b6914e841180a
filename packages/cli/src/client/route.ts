import { usageError } from "../cli-error.ts";

/** Makes a path of the API; what is put in becomes exactly one segment, or a part of one. */
export function route(texts: TemplateStringsArray, ...params: readonly string[]): string {
  return texts.map((text, index) => (index === 0 ? text : segment(params[index - 1] ?? "") + text)).join("");
}

function segment(param: string): string {
  // A URL takes these out of its path, so that the request would mean something else.
  if (param === "" || param === "." || param === "..") throw usageError(`"${param}" is no name and no id`);
  return encodeURIComponent(param);
}

/** `path?a=1&b=2`, without what is not given. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | number | readonly string[] | undefined>>,
): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of typeof value === "object" ? value : [value]) params.append(name, String(one));
  }
  return params.size === 0 ? path : `${path}?${params}`;
}
