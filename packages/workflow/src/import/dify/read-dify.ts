import type { DefinitionFault, Json } from "@longhaul/core";
import { LineCounter, parseDocument, visit } from "yaml";
import { repeatedYamlKey } from "../../definition/repeated-yaml-key.ts";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import { isObject, objectAt, objectsAt, own, textAt } from "./loose-fields.ts";
import { pythonScalar } from "./python-scalar.ts";

/** A node as the file has it. */
export interface DifyNode {
  readonly id: string;
  readonly type: string;
  readonly title: string;
  readonly data: JsonObject;
  /** Id of the iteration or loop it lies in; empty at the top. */
  readonly parent: string;
}

export interface DifyEdge {
  readonly source: string;
  readonly handle: string;
  readonly target: string;
}

export interface DifyApp {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly nodes: readonly DifyNode[];
  readonly edges: readonly DifyEdge[];
  readonly environment: readonly JsonObject[];
  readonly conversation: readonly JsonObject[];
  readonly features: JsonObject;
  readonly dependencies: number;
}

export type ReadDify =
  | { readonly ok: true; readonly app: DifyApp }
  | { readonly ok: false; readonly faults: readonly DefinitionFault[] };

/** Longest text that is read, in characters. YAML is slower to read, so less of it is taken. */
export const maxDifyLength = { json: 1024 * 1024, yaml: 256 * 1024 };
const maxDepth = 100;
const maxValues = 200_000;
const maxAliases = 100;
const maxNodes = 500;
const maxEdges = 5000;

/** Reads the text of an exported Dify app: YAML as Dify writes it (JSON is YAML too). */
export function readDify(text: string): ReadDify {
  const most = isJson(text) ? maxDifyLength.json : maxDifyLength.yaml;
  if (text.length > most)
    return refuse(
      "",
      `the text is longer than ${most} characters`,
      "Send it as JSON, or split the app into several workflows first.",
    );
  try {
    return readApp(parsed(text));
  } catch (error) {
    if (error instanceof RangeError) return refuse("", "the text is nested too deeply", "Export the app from Dify again.");
    if (error instanceof UnreadableText) return refuse("", error.message, error.mend);
    throw error;
  }
}

function refuse(pointer: string, message: string, mend: string): ReadDify {
  return { ok: false, faults: [{ pointer, node: "", message, mend }] };
}

class UnreadableText extends Error {
  readonly mend: string;
  constructor(message: string, mend: string) {
    super(message);
    this.mend = mend;
  }
}

function isJson(text: string): boolean {
  return text.trimStart().startsWith("{");
}

function parsed(text: string): Json {
  if (isJson(text)) {
    try {
      return plainCopy(JSON.parse(text), 0, { values: maxValues });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // It may be YAML in braces.
      if (text.length > maxDifyLength.yaml)
        throw new UnreadableText("the text is not valid JSON", "Send the exported file itself.");
    }
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: "1.2",
    schema: "failsafe",
    // See repeatedYamlKey.
    uniqueKeys: false,
    strict: true,
    logLevel: "error",
    prettyErrors: false,
    lineCounter: lines,
  });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    const why = (problem.message.split("\n", 1)[0] ?? "").slice(0, 200);
    throw new UnreadableText(
      `the text is not valid YAML: line ${line}, column ${col}: ${why}`,
      "Export the app from Dify again.",
    );
  }
  const repeated = repeatedYamlKey(document);
  if (repeated) throw new UnreadableText(`the key ${JSON.stringify(repeated.name)} stands twice in one map`, "Keep one.");
  visit(document, {
    Scalar(key, node) {
      if (key !== "key" && node.type === "PLAIN") node.value = pythonScalar(node.source ?? "");
    },
  });
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new UnreadableText("the text uses too many YAML aliases", "Write the values out.");
  }
  return plainCopy(value, 0, { values: maxValues });
}

function plainCopy(value: unknown, depth: number, left: { values: number }): Json {
  if (--left.values < 0) throw new UnreadableText(`the text has more than ${maxValues} values`, "Split the app first.");
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value !== "object")
    throw new UnreadableText(
      "the text has a value that JSON cannot say",
      "Use numbers, text, true, false, null, lists and maps.",
    );
  if (depth >= maxDepth) throw new RangeError("too deep");
  if (Array.isArray(value)) return value.map((item: unknown) => plainCopy(item, depth + 1, left));
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, plainCopy(item, depth + 1, left));
  return copy;
}

function readApp(root: Json): ReadDify {
  if (!isObject(root) || own(root, "kind") !== "app")
    return refuse("/kind", "this is no Dify app: kind is not app", "Export the app in Dify with Export DSL and send that file.");
  const about = objectAt(root, "app");
  const mode = textAt(about, "mode");
  if (mode !== "workflow")
    return refuse(
      "/app/mode",
      `the app's mode is ${JSON.stringify(mode.slice(0, 40))}, and only workflow can be imported`,
      mode === "advanced-chat"
        ? "Make a workflow of the chatflow in Dify (a chat keeps state between calls, a workflow does not)."
        : "Convert the app to a workflow in Dify first.",
    );
  const workflow = objectAt(root, "workflow");
  const graph = objectAt(workflow, "graph");
  const nodes = objectsAt(graph, "nodes");
  const edges = objectsAt(graph, "edges");
  if (nodes.length === 0) return refuse("/workflow/graph/nodes", "the app has no nodes", "Export the app from Dify again.");
  if (nodes.length > maxNodes || edges.length > maxEdges)
    return refuse(
      "/workflow/graph",
      `the app has ${nodes.length} nodes and ${edges.length} edges; ${maxNodes} and ${maxEdges} are the most`,
      "Split it into several workflows in Dify.",
    );
  return {
    ok: true,
    app: {
      name: textAt(about, "name"),
      description: textAt(about, "description"),
      version: textAt(root, "version"),
      nodes: nodes.map(readNode),
      edges: edges.map((edge) => ({
        source: textAt(edge, "source"),
        handle: textAt(edge, "sourceHandle", "source") || "source",
        target: textAt(edge, "target"),
      })),
      environment: objectsAt(workflow, "environment_variables"),
      conversation: objectsAt(workflow, "conversation_variables"),
      features: objectAt(workflow, "features"),
      dependencies: objectsAt(root, "dependencies").length,
    },
  };
}

function readNode(node: JsonObject, index: number): DifyNode {
  const data = objectAt(node, "data");
  const editorType = textAt(node, "type");
  return {
    id: textAt(node, "id", `#${index}`),
    type: editorType === "custom-note" ? "note" : textAt(data, "type", editorType),
    title: textAt(data, "title"),
    data,
    parent: textAt(node, "parentId") || textAt(data, "iteration_id") || textAt(data, "loop_id"),
  };
}
