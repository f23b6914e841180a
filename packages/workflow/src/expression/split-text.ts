/** A piece of a text with expressions in it: plain text, or the source of one expression. */
export type TextPiece = { readonly text: string } | { readonly expression: string };

export type SplitResult =
  | { readonly ok: true; readonly pieces: readonly TextPiece[] }
  | { readonly ok: false; readonly at: number };

/**
 * Splits `Hello ${ input.name }!` into its pieces. `$${` stands for a plain `${`. Fails with the place of an expression that never ends.
 */
export function splitText(text: string): SplitResult {
  const pieces: TextPiece[] = [];
  let plain = "";
  let at = 0;
  for (let found = text.indexOf("${"); found >= 0; found = text.indexOf("${", at)) {
    if (found > at && text[found - 1] === "$") {
      plain += `${text.slice(at, found - 1)}\${`;
      at = found + 2;
      continue;
    }
    const end = expressionEnd(text, found + 2);
    if (end < 0) return { ok: false, at: found };
    plain += text.slice(at, found);
    if (plain !== "") pieces.push({ text: plain });
    plain = "";
    pieces.push({ expression: text.slice(found + 2, end) });
    at = end + 1;
  }
  plain += text.slice(at);
  if (plain !== "") pieces.push({ text: plain });
  return { ok: true, pieces };
}

/** Where the `}` is that ends the expression; braces in maps and in strings do not count. */
function expressionEnd(text: string, start: number): number {
  let open = 0;
  let at = start;
  while (at < text.length) {
    const char = text[at];
    if (char === '"' || char === "'") {
      at = stringEnd(text, at, isRaw(text, start, at));
      continue;
    }
    if (char === "{") open++;
    if (char === "}" && open-- === 0) return at;
    at++;
  }
  return -1;
}

function isRaw(text: string, start: number, quoteAt: number): boolean {
  const before = text.slice(Math.max(start, quoteAt - 3), quoteAt);
  return /(?:^|[^A-Za-z0-9_])(?:[rR]|[bB][rR]|[rR][bB])$/.test(before);
}

/** The place behind a CEL string literal that starts at `at`; the text's end where it never closes. */
function stringEnd(text: string, at: number, raw: boolean): number {
  const quote = text[at] ?? "";
  const mark = text.startsWith(quote.repeat(3), at) ? quote.repeat(3) : quote;
  let next = at + mark.length;
  while (next < text.length) {
    if (!raw && text[next] === "\\") next += 2;
    else if (text.startsWith(mark, next)) return next + mark.length;
    else next++;
  }
  return text.length;
}
