/** A part of a Jinja2 template: plain text, what `{{ }}` prints, or a statement of `{% %}`. */
export interface JinjaPart {
  readonly kind: "text" | "print" | "statement";
  readonly source: string;
}

/** Thrown for what has no counterpart here. */
export class UnsupportedJinja extends Error {
  override readonly name = "UnsupportedJinja";
}

/** Takes a template apart; comments are gone, and whitespace control is applied. */
export function jinjaParts(template: string): readonly JinjaPart[] {
  // Jinja2 drops one newline at the end.
  const text = template.replace(/\r?\n$/, "");
  const parts: JinjaPart[] = [];
  const opening = /\{\{-?|\{%-?|\{#-?/g;
  let from = 0;
  let trimNext = false;
  const plain = (source: string, trimEnd: boolean): void => {
    const start = trimNext ? source.replace(/^\s+/, "") : source;
    const whole = trimEnd ? start.trimEnd() : start;
    if (whole !== "") parts.push({ kind: "text", source: whole });
  };
  for (let match = opening.exec(text); match !== null; match = opening.exec(text)) {
    const [open] = match;
    const close = open.startsWith("{{") ? "}}" : open.startsWith("{%") ? "%}" : "#}";
    const end = closingAt(text, opening.lastIndex, close);
    if (end < 0) throw new UnsupportedJinja(`${open} is never closed`);
    plain(text.slice(from, match.index), open.endsWith("-"));
    const inner = text.slice(opening.lastIndex, end);
    const trims = inner.endsWith("-");
    const source = (trims ? inner.slice(0, -1) : inner).trim();
    trimNext = trims;
    from = end + 2;
    if (close === "}}") parts.push({ kind: "print", source });
    else if (close === "%}") {
      const raw = source === "raw" ? /\{%-?\s*endraw\s*-?%\}/g : undefined;
      if (raw === undefined) parts.push({ kind: "statement", source });
      else {
        raw.lastIndex = from;
        const stop = raw.exec(text);
        if (stop === null) throw new UnsupportedJinja("raw is never closed");
        plain(text.slice(from, stop.index), false);
        trimNext = false;
        from = raw.lastIndex;
      }
    }
    opening.lastIndex = from;
  }
  plain(text.slice(from), false);
  return parts;
}

/** Where a tag closes; what stands in quotes does not count. */
function closingAt(text: string, start: number, close: string): number {
  if (close === "#}") return text.indexOf(close, start);
  let quote = "";
  for (let at = start; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quote !== "") {
      if (char === "\\") at++;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (text.startsWith(close, at)) return at;
  }
  return -1;
}

/** A word, literal or sign of an expression. */
export interface JinjaToken {
  readonly kind: "name" | "number" | "text" | "sign" | "end";
  readonly value: string;
}

const signs = [
  "==",
  "!=",
  "<=",
  ">=",
  "//",
  "**",
  "<",
  ">",
  "+",
  "-",
  "*",
  "/",
  "%",
  "~",
  "|",
  ".",
  ",",
  "(",
  ")",
  "[",
  "]",
  ":",
  "=",
];

/** The tokens of an expression; the last one is of kind `end`. */
export function jinjaTokens(source: string): readonly JinjaToken[] {
  const tokens: JinjaToken[] = [];
  let at = 0;
  while (at < source.length) {
    const rest = source.slice(at);
    const space = /^\s+/.exec(rest)?.[0];
    const name = /^[A-Za-z_]\w*/.exec(rest)?.[0];
    const number = /^\d+(\.\d+)?/.exec(rest)?.[0];
    const text = /^"(?:[^"\\]|\\.)*"|^'(?:[^'\\]|\\.)*'/s.exec(rest)?.[0];
    const sign = signs.find((each) => rest.startsWith(each));
    const found = space ?? name ?? number ?? text ?? sign;
    if (found === undefined) throw new UnsupportedJinja(`${JSON.stringify(rest.slice(0, 20))} cannot be read`);
    at += found.length;
    if (space !== undefined) continue;
    if (name !== undefined) tokens.push({ kind: "name", value: name });
    else if (number !== undefined) tokens.push({ kind: "number", value: number });
    else if (text !== undefined) tokens.push({ kind: "text", value: unquoted(text) });
    else tokens.push({ kind: "sign", value: found });
  }
  return [...tokens, { kind: "end", value: "" }];
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
]);

function unquoted(literal: string): string {
  return literal.slice(1, -1).replace(/\\(.)/gs, (_whole, char: string) => escapes.get(char) ?? char);
}
