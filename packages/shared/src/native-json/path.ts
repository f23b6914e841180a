/** A place in a JSON document, innermost first; undefined is the document itself. Made into text only when there is a fault. */
export interface Path {
  readonly up: Path | undefined;
  readonly key: string | number;
}

/** The JSON pointer (RFC 6901) of a place. */
export function pointerOf(path: Path | undefined): string {
  let pointer = "";
  for (let at = path; at; at = at.up) pointer = `/${String(at.key).replaceAll("~", "~0").replaceAll("/", "~1")}${pointer}`;
  return pointer;
}
