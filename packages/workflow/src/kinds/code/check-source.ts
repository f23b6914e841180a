import { type Node, type Program, parse } from "acorn";
import type { KindProblem } from "../kind.ts";

/**
 * What can be said against a source before it runs: its syntax, imports, and a default export that is missing or no function. What this parser
 * cannot take in (nested too deeply, newer than it) is left to the run.
 */
export function checkSource(source: string): readonly KindProblem[] {
  const parsed = parseModule(source);
  if (parsed === undefined) return [];
  if ("message" in parsed) return [parsed];
  return [...importProblems(parsed, source), ...exportProblems(parsed)];
}

function problem(message: string, mend: string): KindProblem {
  return { pointer: "/source", message, mend };
}

const wantedExport = "Write export default function (input) { ... }.";

function parseModule(source: string): Program | KindProblem | undefined {
  try {
    return parse(source, { sourceType: "module", ecmaVersion: "latest", locations: true });
  } catch (error) {
    // How deep is too deep depends on the machine, and the parser tells it from other syntax errors by its message alone.
    if (!(error instanceof SyntaxError) || error.message.startsWith("Not enough stack space")) return undefined;
    const message = error.message.replace(/ \(\d+:\d+\)$/, "").slice(0, 300);
    return problem(`syntax error${placeOf(error)}: ${message}`, "Mend the JavaScript; it must be an ES module.");
  }
}

/** Lines and columns count from 1, as in the errors of a run; the parser's columns count from 0. */
function placeText({ line, column }: { readonly line: number; readonly column: number }): string {
  return ` at line ${line}, column ${column + 1}`;
}

function placeOf(error: SyntaxError): string {
  // The parser says at the end of its message where it stopped.
  const [, line, column] = /\((\d+):(\d+)\)$/.exec(error.message) ?? [];
  return line === undefined ? "" : placeText({ line: Number(line), column: Number(column) });
}

function importProblems({ body }: Program, source: string): readonly KindProblem[] {
  return body.flatMap((statement) => {
    const from = "source" in statement ? statement.source : undefined;
    if (from === undefined || from === null) return [];
    const name = source.slice(from.start, from.end).slice(0, 100);
    return [
      problem(
        `the import of ${name}${startText(statement)} is not possible: there are no modules`,
        "Put everything that the code needs into source.",
      ),
    ];
  });
}

function startText({ loc }: Node): string {
  return loc === undefined || loc === null ? "" : placeText(loc.start);
}

const neverFunctions: ReadonlySet<string> = new Set([
  "ArrayExpression",
  "ClassDeclaration",
  "ClassExpression",
  "Literal",
  "ObjectExpression",
  "TemplateLiteral",
]);

function exportProblems({ body }: Program): readonly KindProblem[] {
  for (const statement of body) {
    if (
      statement.type === "ExportNamedDeclaration" &&
      statement.specifiers.some(({ exported }) => nameOf(exported) === "default")
    )
      return [];
    if (statement.type !== "ExportDefaultDeclaration") continue;
    if (!neverFunctions.has(statement.declaration.type)) return [];
    return [problem(`the default export${startText(statement)} is not a function`, wantedExport)];
  }
  return [problem("the source has no default export", wantedExport)];
}

function nameOf(
  exported: { readonly type: "Identifier"; readonly name: string } | { readonly type: "Literal"; readonly value?: unknown },
): unknown {
  return exported.type === "Identifier" ? exported.name : exported.value;
}
