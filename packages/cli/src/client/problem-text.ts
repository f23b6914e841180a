import { at, type Json, listAt, textAt } from "./json.ts";

/** One fault of what was sent: where, what, and what to do. Reads problems (`detail`) and faults of definitions (`message`). */
export function faultText(fault: Json): string {
  const node = textAt(fault, "node");
  const where = textAt(fault, "pointer") || "(all of it)";
  const mend = textAt(fault, "mend");
  const what = textAt(fault, "detail") || textAt(fault, "message");
  return `  ${where}${node === "" ? "" : ` (node ${node})`}: ${what}${mend === "" ? "" : `\n    ${mend}`}`;
}

/** A refusal (RFC 9457) for people: what, the code to look up, and every fault with its pointer and its mend. */
export function problemText(problem: Json, status: number): string {
  const code = textAt(problem, "code");
  const head = textAt(problem, "detail") || textAt(problem, "title") || "the server refused it without a reason";
  const faults = listAt(problem, "errors");
  return [`${head} (${code === "" ? status : `${status} ${code}`})`, ...faults.map(faultText)].join("\n");
}

/** Whether an answer is a problem of the API, and not the page of somebody else's server. */
export function isProblem(value: Json | undefined): value is Json {
  return at(value, "code") !== undefined || at(value, "detail") !== undefined;
}
