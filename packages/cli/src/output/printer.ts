import type { Json } from "../client/json.ts";
import type { World } from "../world.ts";
import { cleanJson, cleanText } from "./clean-text.ts";
import { colours, type Paint } from "./colours.ts";
import { type Column, recordText, tableText } from "./table.ts";

/** Shows results: to people on a terminal, as JSON to programs. */
export interface Printer {
  readonly isJson: boolean;
  /** One JSON document, or the text that says the same. */
  result(value: Json, text: () => string): void;
  /** One line of JSON, or the text; for what comes bit by bit. */
  line(value: Json, text: () => string): void;
  table(columns: readonly Column[], rows: readonly Json[]): string;
  /** Names and values below each other; what is empty is left out. */
  record(fields: Readonly<Record<string, string>>): string;
  /** A value for people, as indented JSON. */
  value(value: Json | undefined): string;
  readonly paint: Paint;
  /** Says something beside the result, on standard error. */
  note(text: string): void;
  /** Takes this text out of whatever is shown from now on. */
  hide(secret: string): void;
}

/** Shorter values would be found everywhere. */
const minHiddenLength = 6;

export function printer(world: World, isJsonForced: boolean): Printer {
  const isJson = isJsonForced || !world.out.isTerminal;
  const paint = colours(!isJson && world.out.hasColours);
  const hidden: string[] = [];
  const safe = (text: string): string => hidden.reduce((rest, secret) => rest.replaceAll(secret, "[secret]"), text);
  const print = (text: string): void => {
    if (text !== "") world.out.write(safe(text.endsWith("\n") ? text : `${text}\n`));
  };
  return {
    isJson,
    paint,
    result(value, text) {
      print(isJson ? cleanJson(JSON.stringify(value, null, 2)) : text());
    },
    line(value, text) {
      print(isJson ? cleanJson(JSON.stringify(value)) : text());
    },
    table: (columns, rows) => tableText(columns, rows, { paint, width: world.out.columns }),
    record: (fields) => recordText(fields, paint),
    value: (value) => cleanJson(JSON.stringify(value ?? null, null, 2)),
    note(text) {
      world.err.write(`${safe(cleanText(text, { lines: true }))}\n`);
    },
    hide(secret) {
      for (const form of new Set([secret, secret.trim(), JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])) {
        if (form.length >= minHiddenLength) hidden.push(form);
      }
      // The longest first, or what is left of it would stay.
      hidden.sort((a, b) => b.length - a.length);
    },
  };
}
