import type { JsonObject } from "../../expression/cel-value.ts";
import type { Findings } from "./import-report.ts";
import { flagAt, objectAt, own, textAt } from "./loose-fields.ts";
import type { DifyNode } from "./read-dify.ts";
import { celString, hasMember, member, type Piece, textOf } from "./template-text.ts";

/** A way to a value: where it starts, what must hold for it to be there, and the expression that reads it. */
interface Source {
  readonly expression: string;
  /** True exactly when the expression can be read; undefined where it always can. */
  readonly presence: string | undefined;
  /** True where the value is text for sure. */
  readonly isText?: boolean;
}

/** What is known of an app when references are resolved. */
export interface Names {
  readonly nodes: ReadonlyMap<string, DifyNode>;
  /** Ids in the definition, by the ids of Dify. */
  readonly ids: ReadonlyMap<string, string>;
  /** Ids of the starting points. */
  readonly starts: ReadonlySet<string>;
  /** Variables of the starting point, by name. */
  readonly inputs: ReadonlyMap<string, JsonObject>;
  readonly environment: ReadonlyMap<string, JsonObject>;
  /** Ids of the nodes that were imported as what they are; what others put out is not known. */
  readonly placeholders: ReadonlySet<string>;
  /** Notes that an input of the system is used. */
  useSystem(name: "sys_user_id" | "sys_files"): void;
  /** Notes a secret; answers its name. */
  useSecret(name: string): string;
}

/** Where a reference stands. */
export interface Standpoint {
  /** Dify ids of what comes before, here or around. */
  readonly before: ReadonlySet<string>;
  /** Dify ids of what has surely succeeded. */
  readonly certain: ReadonlySet<string>;
  /** Ids of the iterations around, the innermost first. */
  readonly iterations: readonly string[];
  readonly findings: Findings;
}

/** Turns Dify's references into expressions. */
export interface References {
  /** The value of a selector; `or` (an expression) where it is absent. */
  value(selector: readonly string[], or?: string): string;
  /** The pieces of a text with `{{#node.field#}}` in it; absent values are empty. */
  pieces(text: string): readonly Piece[];
  /** The same as one text of a definition. */
  text(text: string): string;
  /** True where the selector's value is text for sure. */
  isText(selector: readonly string[]): boolean;
  /** Expression that is the first of the selectors whose value is there, or null. */
  firstOf(selectors: readonly (readonly string[])[]): string;
}

const inText = /\{\{#\s*([A-Za-z0-9_-]{1,100}(?:\.[^#{}.\s]{1,200}){0,10})\s*#\}\}/g;

/** References as one node sees them; what they cannot resolve goes to its findings. */
export function references(names: Names, at: Standpoint, context: readonly string[] = []): References {
  const resolve = (selector: readonly string[]): Source | undefined => sourceOf(names, at, selector);

  function value(selector: readonly string[], or = "null"): string {
    const source = resolve(selector);
    return source === undefined ? or : guarded(source, or);
  }

  function pieces(text: string): readonly Piece[] {
    const found: Piece[] = [];
    let from = 0;
    for (const match of text.matchAll(inText)) {
      if (match.index > from) found.push({ text: text.slice(from, match.index) });
      from = match.index + match[0].length;
      const selector = (match[1] ?? "").split(".");
      found.push(...(selector.join() === "context" ? contextPieces() : referencePieces(selector)));
    }
    if (from < text.length) found.push({ text: text.slice(from) });
    return found;
  }

  function contextPieces(): readonly Piece[] {
    return context.length === 0 ? [] : referencePieces(context);
  }

  function referencePieces(selector: readonly string[]): readonly Piece[] {
    const constant = constantOf(names, selector);
    if (constant !== undefined) return [{ text: constant }];
    const source = resolve(selector);
    return source === undefined ? [] : [{ expression: guarded(source, '""'), isText: source.isText ?? false }];
  }

  return {
    value,
    pieces,
    text: (text) => textOf(pieces(text), true),
    isText: (selector) => resolve(selector)?.isText ?? false,
    firstOf(selectors) {
      let expression = "null";
      for (const selector of [...selectors].reverse()) {
        const source = resolve(selector);
        if (source === undefined) continue;
        expression =
          source.presence === undefined ? source.expression : `${source.presence} ? ${source.expression} : ${expression}`;
      }
      return expression;
    },
  };
}

function guarded({ expression, presence }: Source, or: string): string {
  return presence === undefined ? expression : `(${presence} ? ${expression} : ${or})`;
}

/** The text of a reference that never changes: an environment variable that is no secret. */
function constantOf({ environment }: Names, [head, name = ""]: readonly string[]): string | undefined {
  const variable = head === "env" ? environment.get(name) : undefined;
  return variable === undefined || textAt(variable, "value_type") === "secret" ? undefined : textAt(variable, "value");
}

function sourceOf(names: Names, at: Standpoint, selector: readonly string[]): Source | undefined {
  const [head = "", ...rest] = selector;
  const lost = (reason: string, mend: string): undefined => {
    at.findings.lose(`reference ${selector.join(".") || "(empty)"}`, reason, mend);
    return undefined;
  };
  if (head === "sys") return systemSource(names, at, rest, lost);
  if (head === "env") return environmentSource(names, rest, lost);
  if (head === "conversation") return lost("a workflow has no conversation variables", "Pass the value in as input.");
  if (at.iterations.includes(head) && (rest[0] === "item" || rest[0] === "index")) {
    if (at.iterations[0] !== head)
      return lost("the item of an outer iteration cannot be named from an inner one", "Put it into the inner one's items.");
    return { expression: rest.slice(1).reduce(member, rest[0]), presence: undefined };
  }
  if (names.starts.has(head)) return inputSource(names, rest, lost);
  const node = names.nodes.get(head);
  const id = names.ids.get(head);
  if (node === undefined || id === undefined) return lost("there is no such node", "Name the node that it means.");
  if (!at.before.has(head))
    return lost(`node "${node.title || head}" does not come before this one`, `Add "${id}" to the needs, if it is to.`);
  return nodeSource(names, at, node, id, rest);
}

type Lost = (reason: string, mend: string) => undefined;

function systemSource(names: Names, at: Standpoint, [name = "", ...rest]: readonly string[], lost: Lost): Source | undefined {
  switch (name) {
    case "workflow_run_id":
      return { expression: "task.id", presence: undefined, isText: true };
    case "workflow_id":
    case "app_id":
      at.findings.change(`sys.${name}`, "a workflow has a name instead of this id", "Check what the value is compared with.");
      return { expression: "task.workflow", presence: undefined };
    case "timestamp":
      at.findings.change("sys.timestamp", "it is the time of the submit, in seconds", "Check that no later time is meant.");
      return { expression: "int(timestamp(task.createTime))", presence: undefined };
    case "user_id":
    case "files": {
      const input = `sys_${name}` as const;
      names.useSystem(input);
      at.findings.change(`sys.${name}`, `it is the input ${input} now`, `Send ${input} with each task.`);
      return { expression: rest.reduce(member, `input.${input}`), presence: `has(input.${input})` };
    }
    default:
      return lost("there is no such value outside Dify", "Pass the value in as input.");
  }
}

function environmentSource(names: Names, [name = "", ...rest]: readonly string[], lost: Lost): Source | undefined {
  const variable = names.environment.get(name);
  if (variable === undefined) return lost("there is no such environment variable", "Write the value in, or make it an input.");
  if (textAt(variable, "value_type") === "secret")
    return { expression: `secrets.${names.useSecret(name)}`, presence: undefined, isText: true };
  const value = own(variable, "value") ?? null;
  const literal = typeof value === "string" ? celString(value) : JSON.stringify(value);
  return {
    expression: rest.reduce(member, literal),
    presence: undefined,
    isText: typeof value === "string" && rest.length === 0,
  };
}

function inputSource({ inputs }: Names, [name = "", ...rest]: readonly string[], lost: Lost): Source | undefined {
  const variable = inputs.get(name);
  if (variable === undefined) return lost("the start has no such variable", "Add it to the input.");
  const expression = member("input", name);
  const fallback = own(variable, "default");
  const hasDefault = fallback !== undefined && fallback !== null && fallback !== "";
  const isThere = hasMember("input", name);
  const isText = rest.length === 0 && ["text-input", "paragraph", "select"].includes(textAt(variable, "type", "text-input"));
  if (flagAt(variable, "required")) return { expression: rest.reduce(member, expression), presence: undefined, isText };
  if (!hasDefault) return { expression: rest.reduce(member, expression), presence: isThere, isText };
  const isNumber = textAt(variable, "type") === "number";
  const literal =
    typeof fallback !== "string" || (isNumber && Number.isFinite(Number(fallback)))
      ? String(jsonText(fallback))
      : celString(fallback);
  return { expression: rest.reduce(member, `(${isThere} ? ${expression} : ${literal})`), presence: undefined, isText };
}

function jsonText(value: unknown): string {
  return typeof value === "string" ? value.trim() : JSON.stringify(value);
}

function nodeSource(names: Names, at: Standpoint, node: DifyNode, id: string, path: readonly string[]): Source | undefined {
  const { id: difyId, type } = node;
  const [field = "", ...rest] = path;
  if (field === "error_message" || field === "error_type") {
    if (field === "error_type")
      at.findings.change("error_type", "it is the error's code, such as node_timeout", "Compare it with Longhaul's codes.");
    return {
      expression: `errors.${id}.${field === "error_type" ? "code" : "message"}`,
      presence: `has(errors.${id})`,
      isText: true,
    };
  }
  const mapped = names.placeholders.has(difyId) ? path : mappedPath(type, field, rest, at.findings);
  if (mapped === undefined) return undefined;
  const presence = at.certain.has(difyId) ? undefined : `has(nodes.${id})`;
  if (type === "if-else" && field === "result") return { expression: `(nodes.${id}.selected_case_id != "false")`, presence };
  const expression = mapped.reduce(member, `nodes.${id}`);
  // An empty answer has no body here, and an empty one in Dify.
  const isBody = type === "http-request" && field === "body" && rest.length === 0;
  return {
    expression: isBody ? `(${expression} == null ? "" : ${expression})` : expression,
    presence,
    isText: isText(node, path),
  };
}

function isText({ type, data }: DifyNode, [field = "", ...rest]: readonly string[]): boolean {
  if (rest.length > 0) return false;
  if (type === "code") return textAt(objectAt(objectAt(data, "outputs"), field), "type") === "string";
  return textOutputs.has(`${type}.${field}`);
}

const textOutputs: ReadonlySet<string> = new Set([
  "http-request.body",
  "if-else.selected_case_id",
  "llm.text",
  "template-transform.output",
]);

const usageNames: ReadonlyMap<string, string> = new Map([
  ["prompt_tokens", "inputTokens"],
  ["completion_tokens", "outputTokens"],
  ["total_tokens", "totalTokens"],
]);

/** Where a field of Dify's output is in the output of the node here; undefined where it is not there. */
function mappedPath(type: string, field: string, rest: readonly string[], findings: Findings): readonly string[] | undefined {
  switch (type) {
    case "http-request":
      if (field === "files")
        return lostField("files", "files of an answer are not kept apart", "Read the body instead.", findings);
      return [field === "status_code" ? "status" : field, ...rest];
    case "llm":
      return llmPath(field, rest, findings);
    case "iteration":
      return [field === "output" ? "results" : field, ...rest];
    default:
      return [field, ...rest].filter((part) => part !== "");
  }
}

function llmPath(field: string, rest: readonly string[], findings: Findings): readonly string[] | undefined {
  if (field === "structured_output") return ["object", ...rest];
  if (field === "text") return ["text", ...rest];
  if (field !== "usage") return lostField(field, "an llm node puts out text, object and usage only", "Use the text.", findings);
  const [name, ...deeper] = rest;
  if (name === undefined) return ["usage"];
  const known = usageNames.get(name);
  if (known !== undefined) return ["usage", known, ...deeper];
  const have = "usage has inputTokens, outputTokens and totalTokens only";
  return lostField(`usage.${name}`, have, "Use one of these.", findings);
}

function lostField(what: string, reason: string, mend: string, findings: Findings): undefined {
  findings.lose(`reference to ${what}`, reason, mend);
  return undefined;
}
