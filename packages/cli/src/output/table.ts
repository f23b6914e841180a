import stringWidth from "string-width";
import type { Json } from "../client/json.ts";
import { cleanText } from "./clean-text.ts";
import type { Paint } from "./colours.ts";

export interface Column {
  readonly title: string;
  readonly of: (row: Json) => string;
  readonly kind?: "state" | "number";
}

const gap = "  ";
/** A last column that has less room is not cut: a word is better than its first letters. */
const minLastWidth = 16;

/** Columns as wide as what is in them; the last one is cut at the edge of the terminal. A line per row. */
export function tableText(
  columns: readonly Column[],
  rows: readonly Json[],
  { paint, width }: { readonly paint: Paint; readonly width: number },
): string {
  if (rows.length === 0) return "(none)";
  const cells = rows.map((row) => columns.map((column) => cleanText(column.of(row))));
  const widths = columns.map(({ title }, index) =>
    Math.max(...[[title], ...cells.map((row) => [row[index] ?? ""])].map(([cell = ""]) => stringWidth(cell))),
  );
  const before = widths.slice(0, -1).reduce((sum, one) => sum + one + gap.length, 0);
  const room = Math.max(minLastWidth, width - before);
  const lineOf = (row: readonly string[], dress: (cell: string, column: Column) => string): string =>
    columns
      .map((column, index) => {
        const cell = row[index] ?? "";
        if (index === columns.length - 1 && column.kind !== "number") return dress(cut(cell, room), column);
        const fill = " ".repeat((widths[index] ?? 0) - stringWidth(cell));
        return dress(column.kind === "number" ? fill + cell : cell + fill, column);
      })
      .join(gap)
      .trimEnd();
  return [
    lineOf(
      columns.map((column) => column.title),
      paint.head,
    ),
    ...cells.map((row) => lineOf(row, (cell, { kind }) => (kind === "state" ? paint.state(cell) : cell))),
  ].join("\n");
}

/** Names and values below each other. */
export function recordText(fields: Readonly<Record<string, string>>, paint: Paint): string {
  const shown = Object.entries(fields).filter(([, value]) => value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown
    .map(([name, value]) => {
      const text = cleanText(value);
      return `${paint.dim(name.padEnd(width))}${gap}${name === "state" ? paint.state(text) : text}`;
    })
    .join("\n");
}

function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = "";
  let used = 1;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += stringWidth(segment);
    if (used > width) break;
    kept += segment;
  }
  return `${kept}…`;
}
