import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import type { Findings } from "./import-report.ts";
import { isObject, objectAt, objectsAt, own, selectorAt, textAt } from "./loose-fields.ts";
import type { References } from "./references.ts";
import { celString, member, type Piece } from "./template-text.ts";

/** One case of an if-else node, as it is chosen: its id and the expression that is true when it holds. */
export interface Case {
  readonly id: string;
  readonly expression: string;
}

/** The ids of an if-else node's cases, the else case last. */
export function caseIds(data: JsonObject): readonly string[] {
  return [...listedCases(data).map((one, index) => caseId(one, index)), "false"];
}

/** The cases in their order; what cannot be said goes to the findings. */
export function casesOf(data: JsonObject, references: References, findings: Findings): readonly Case[] {
  return listedCases(data).map((one, index) => ({
    id: caseId(one, index),
    expression: joined(
      objectsAt(one, "conditions").map((condition) => conditionOf(condition, references, findings)),
      textAt(one, "logical_operator", "and"),
    ),
  }));
}

function listedCases(data: JsonObject): readonly JsonObject[] {
  const cases = objectsAt(data, "cases");
  // Until 0.1.x an if-else node had one list of conditions, and the way on was "true".
  if (cases.length > 0 || objectsAt(data, "conditions").length === 0) return cases;
  return [{ ...data, case_id: "true" }];
}

function caseId(one: JsonObject, index: number): string {
  return textAt(one, "case_id") || textAt(one, "id") || (index === 0 ? "true" : `case_${index + 1}`);
}

function joined(expressions: readonly string[], operator: string): string {
  if (expressions.length === 0) return "false";
  return expressions.length === 1 ? (expressions[0] ?? "false") : `(${expressions.join(operator === "or" ? " || " : " && ")})`;
}

function conditionOf(condition: JsonObject, references: References, findings: Findings): string {
  const value = references.value(selectorAt(condition, "variable_selector"));
  const inner = objectAt(condition, "sub_variable_condition");
  const conditions = objectsAt(inner, "conditions");
  if (conditions.length > 0) {
    const each = conditions.map((one) => {
      // As in Dify: a denial must hold for every file, anything else for one.
      const every = textAt(one, "comparison_operator").includes("not");
      const test = comparison(one, member("file", textAt(one, "key")), references, findings);
      return `${value}.${every ? "all" : "exists"}(file, ${test})`;
    });
    findings.change("conditions on files", "they look at the keys that Dify's file objects have", "Send files as such objects.");
    return `(type(${value}) == list && ${joined(each, textAt(inner, "logical_operator", "and"))})`;
  }
  return comparison(condition, value, references, findings);
}

function comparison(condition: JsonObject, v: string, references: References, findings: Findings): string {
  const operator = textAt(condition, "comparison_operator");
  const isText = textAt(condition, "varType") === "string";
  const expected = own(condition, "value") ?? null;
  const text = (): string => textExpression(references.pieces(textAt(condition, "value")));
  const amount = (): string => numberExpression(expected, references);
  const list = (): string => listExpression(expected, references);
  const empty = isText ? `(${v} == null || ${v} == "")` : `(${v} == null || ${v} == "" || ${v} == [] || ${v} == {})`;
  switch (operator) {
    case "contains":
      return contains(v, condition, isText, text());
    case "not contains":
      return `!${contains(v, condition, isText, text())}`;
    case "start with":
      return `(type(${v}) == string && ${v}.startsWith(${text()}))`;
    case "end with":
      return `(type(${v}) == string && ${v}.endsWith(${text()}))`;
    case "is":
      return `(${v} == ${sameAs(condition, expected, text)})`;
    case "is not":
      return `(${v} != null && ${v} != ${sameAs(condition, expected, text)})`;
    case "empty":
      return empty;
    case "not empty":
      return `!${empty}`;
    case "=":
    case "==":
      return `(${v} == ${amount()})`;
    case "≠":
    case "!=":
      return `(${v} != null && ${v} != ${amount()})`;
    case ">":
    case "<":
      return `(${v} != null && ${v} ${operator} ${amount()})`;
    case "≥":
    case ">=":
      return `(${v} != null && ${v} >= ${amount()})`;
    case "≤":
    case "<=":
      return `(${v} != null && ${v} <= ${amount()})`;
    case "null":
    case "not exists":
      return `(${v} == null)`;
    case "not null":
    case "exists":
      return `(${v} != null)`;
    case "in":
      return `(${v} in ${list()})`;
    case "not in":
      return `!(${v} in ${list()})`;
    case "all of":
      return `(type(${v}) == list && ${list()}.all(one, one in ${v}))`;
    default:
      findings.lose(
        `comparison ${JSON.stringify(operator.slice(0, 40))}`,
        "there is no such comparison; it counts as false here",
        "Write the condition as an expression.",
      );
      return "false";
  }
}

function contains(v: string, condition: JsonObject, isText: boolean, text: string): string {
  if (isText) return `(type(${v}) == string && ${v}.contains(${text}))`;
  const isNumeric = textAt(condition, "varType") === "array[number]";
  const item = isNumeric && /^"-?\d+(\.\d+)?"$/.test(text) ? text.slice(1, -1) : text;
  return `(type(${v}) == list ? ${item} in ${v} : type(${v}) == string && ${v}.contains(${text}))`;
}

function sameAs(condition: JsonObject, expected: Json, text: () => string): string {
  const isFlag = textAt(condition, "varType") === "boolean" || typeof expected === "boolean";
  if (isFlag) return textAt(condition, "value").toLowerCase() === "true" ? "true" : "false";
  return text();
}

/** A CEL expression for a text with references in it. */
export function textExpression(pieces: readonly Piece[]): string {
  if (pieces.length === 0) return '""';
  return pieces.map((piece) => ("text" in piece ? celString(piece.text) : `string(${piece.expression})`)).join(" + ");
}

function numberExpression(expected: Json, references: References): string {
  if (typeof expected === "number") return String(expected);
  const pieces = references.pieces(typeof expected === "string" ? expected.trim() : "");
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) {
    if ("expression" in only) return only.expression;
    if (/^-?\d+(\.\d+)?$/.test(only.text)) return only.text;
  }
  return `double(${textExpression(pieces)})`;
}

function listExpression(expected: Json, references: References): string {
  const items: readonly Json[] = Array.isArray(expected) ? expected : [expected];
  const texts = items.map((item) => {
    if (typeof item === "number" || typeof item === "boolean") return String(item);
    return typeof item === "string" ? textExpression(references.pieces(item)) : isObject(item) ? "{}" : "null";
  });
  return `[${texts.join(", ")}]`;
}
