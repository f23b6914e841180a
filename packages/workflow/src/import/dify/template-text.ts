/** A piece of a text: plain characters, or a CEL expression, with whether its value is known to be text. */
export type Piece = { readonly text: string } | { readonly expression: string; readonly isText?: boolean };

const reserved: ReadonlySet<string> = new Set(
  "as break const continue else false for function if import in let loop null package namespace return true var void while".split(
    " ",
  ),
);

/** True for a name that may follow a dot in an expression. */
export function isIdentifier(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !reserved.has(name);
}

/** A CEL string literal. */
export function celString(text: string): string {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** `base.key`, or `base["key"]` where the key is no identifier, or `base[0]` where it is an index. */
export function member(base: string, key: string): string {
  if (isIdentifier(key)) return `${base}.${key}`;
  return /^\d{1,9}$/.test(key) ? `${base}[${key}]` : `${base}[${celString(key)}]`;
}

/** Whether `base` has the key: `has(base.key)`, or with `in` where the key is no identifier. */
export function hasMember(base: string, key: string): string {
  return isIdentifier(key) ? `has(${base}.${key})` : `(${celString(key)} in ${base})`;
}

/** `${ expression }` */
export function wrapped(expression: string): string {
  return `\${ ${expression} }`;
}

/** Text that is to stay as it is, also where it holds `${`. */
export function plainText(text: string): string {
  return text.replaceAll("${", () => "$${");
}

/** One text of the pieces. A single expression keeps the type of its value; with `asText` it is text in any case. */
export function textOf(pieces: readonly Piece[], asText = false): string {
  let text = "";
  for (const [index, piece] of pieces.entries()) {
    if ("expression" in piece) {
      text += wrapped(piece.expression);
      continue;
    }
    const next = pieces[index + 1];
    // A dollar right before an expression would make it plain text.
    const dollars = next !== undefined && "expression" in next ? /\$+$/.exec(piece.text)?.[0] : undefined;
    text +=
      dollars === undefined
        ? plainText(piece.text)
        : plainText(piece.text.slice(0, -dollars.length)) + wrapped(celString(dollars));
  }
  const [only] = pieces;
  const keepsType = pieces.length === 1 && only !== undefined && "expression" in only && only.isText !== true;
  return asText && keepsType ? `${text}${wrapped('""')}` : text;
}

/** A loop variable's name in an expression; never one of the roots that expressions begin with. */
export function identifierOfLoop(name: string, depth: number): string {
  return `${isIdentifier(name) ? name : "each"}_${depth}`;
}
