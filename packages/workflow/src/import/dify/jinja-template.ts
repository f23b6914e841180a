import { type Cel, jinjaExpression, type Note, textOfCel, truthOf, type Variables } from "./jinja-expression.ts";
import { type JinjaPart, jinjaParts, UnsupportedJinja } from "./jinja-tokens.ts";
import { celString, identifierOfLoop, type Piece } from "./template-text.ts";

const maxBlocks = 20;

/**
 * Turns a Jinja2 template into the pieces of a text: what is printed at the top stays a piece of its own, a block (`if`, `for`) becomes one
 * expression. Throws UnsupportedJinja for what has no counterpart.
 */
export function jinjaPieces(template: string, variables: Variables, note: Note): readonly Piece[] {
  const cursor: Cursor = { parts: jinjaParts(template), at: 0, note, depth: 0 };
  const pieces: Piece[] = [];
  let scope = variables;
  for (let part = next(cursor); part !== undefined; part = next(cursor)) {
    if (part.kind === "text") pieces.push({ text: part.source });
    else if (part.kind === "print") pieces.push({ expression: printed(part, scope, note) });
    else if (part.source.startsWith("set ")) scope = assigned(part, scope, note);
    else pieces.push({ expression: block(cursor, part, scope) });
  }
  return pieces;
}

interface Cursor {
  readonly parts: readonly JinjaPart[];
  readonly note: Note;
  at: number;
  depth: number;
}

function next(cursor: Cursor): JinjaPart | undefined {
  return cursor.parts[cursor.at++];
}

function printed(part: JinjaPart, scope: Variables, note: Note): string {
  const { source, kind } = jinjaExpression(part.source, scope, note);
  if (kind === "any")
    note(
      "printed values",
      "lists and maps are printed as JSON, true, false and null in lower case",
      "Print texts and numbers only.",
    );
  return source;
}

function assigned({ source }: JinjaPart, scope: Variables, note: Note): Variables {
  const [, name = "", value = ""] = /^set\s+([A-Za-z_]\w*)\s*=\s*(.+)$/s.exec(source) ?? [];
  if (name === "") throw new UnsupportedJinja(`{% ${shown(source)} %} has no counterpart`);
  const found = jinjaExpression(value, scope, note);
  return new Map([...scope, [name, { source: `(${found.source})`, kind: found.kind }]]);
}

function block(cursor: Cursor, { source }: JinjaPart, scope: Variables): string {
  if (++cursor.depth > maxBlocks) throw new UnsupportedJinja("blocks are nested too deeply");
  const [word = ""] = source.split(/\s+/, 1);
  const rest = source.slice(word.length).trim();
  const found = word === "if" ? condition(cursor, rest, scope) : word === "for" ? loop(cursor, rest, scope) : undefined;
  if (found === undefined) throw new UnsupportedJinja(`{% ${shown(source)} %} has no counterpart`);
  cursor.depth--;
  return found;
}

/** The text of everything up to one of the words, and the statement with it. */
function body(cursor: Cursor, scope: Variables, ends: readonly string[]): readonly [string, string] {
  const texts: string[] = [];
  let inner = scope;
  for (let part = next(cursor); part !== undefined; part = next(cursor)) {
    if (part.kind === "text") texts.push(celString(part.source));
    else if (part.kind === "print") texts.push(printedText(part, inner, cursor.note));
    else {
      const [word = ""] = part.source.split(/\s+/, 1);
      if (ends.includes(word)) return [texts.length === 0 ? '""' : texts.join(" + "), part.source];
      if (word === "set") inner = assigned(part, inner, cursor.note);
      else texts.push(block(cursor, part, inner));
    }
  }
  throw new UnsupportedJinja(`{% ${ends.at(-1)} %} is missing`);
}

function printedText(part: JinjaPart, scope: Variables, note: Note): string {
  const found = jinjaExpression(part.source, scope, note);
  if (found.kind === "any")
    note("values printed in a block", "a list, map or null inside if or for is an error here", "Print texts and numbers only.");
  return textOfCel(found);
}

function condition(cursor: Cursor, test: string, scope: Variables): string {
  const when = truthOf(jinjaExpression(test, scope, cursor.note));
  const [then, end] = body(cursor, scope, ["elif", "else", "endif"]);
  if (end.startsWith("elif")) return `(${when} ? ${then} : ${condition(cursor, end.slice(4).trim(), scope)})`;
  const otherwise = end === "else" ? body(cursor, scope, ["endif"])[0] : '""';
  return `(${when} ? ${then} : ${otherwise})`;
}

function loop(cursor: Cursor, head: string, scope: Variables): string {
  const [begin = "", first = "", second] = /^([A-Za-z_]\w*)(?:\s*,\s*([A-Za-z_]\w*))?\s+in\s+/.exec(head) ?? [];
  const rest = head.slice(begin.length);
  const filterAt = rest.search(/\sif\s/);
  const over = (filterAt < 0 ? rest : rest.slice(0, filterAt)).trim();
  const filter = filterAt < 0 ? undefined : rest.slice(filterAt + 4);
  const isPairs = second !== undefined && /\.items\(\s*\)$/.test(over);
  if (first === "" || (second !== undefined && !isPairs))
    throw new UnsupportedJinja(`{% for ${shown(head)} %} has no counterpart`);
  const list = jinjaExpression(isPairs ? over.replace(/\.items\(\s*\)$/, "") : over, scope, cursor.note).source;
  const name = identifierOfLoop(first, cursor.depth);
  const added: [string, Cel][] = [[first, { source: name, kind: "any" }]];
  if (second !== undefined) added.push([second, { source: `${list}[${name}]`, kind: "any" }]);
  const inner: Variables = new Map([...scope, ...added]);
  const items = filter === undefined ? list : `${list}.filter(${name}, ${truthOf(jinjaExpression(filter, inner, cursor.note))})`;
  const [each, end] = body(cursor, inner, ["else", "endfor"]);
  const text = `${items}.map(${name}, ${each}).join("")`;
  if (end !== "else") return text;
  return `(size(${items}) == 0 ? ${body(cursor, scope, ["endfor"])[0]} : ${text})`;
}

function shown(source: string): string {
  return source.length > 60 ? `${source.slice(0, 57)}...` : source;
}
