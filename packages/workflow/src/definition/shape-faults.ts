import type { Json } from "@longhaul/core";
import type { ErrorObject, ValidateFunction } from "ajv/dist/2020.js";
import { pointerTo } from "../expression/pointer.ts";
import { kinds } from "../kinds/registry.ts";
import { newAjv } from "./ajv.ts";
import type { Faults } from "./faults.ts";
import { nearest } from "./nearest.ts";
import { headSchema, nodeSchema } from "./workflow-schema.ts";

let validators: { readonly head: ValidateFunction; readonly nodes: ReadonlyMap<string, ValidateFunction> } | undefined;

function shapes(): NonNullable<typeof validators> {
  validators ??= compileShapes();
  return validators;
}

function compileShapes(): NonNullable<typeof validators> {
  const ajv = newAjv({ verbose: true });
  return {
    head: ajv.compile(headSchema),
    nodes: new Map([...kinds.values()].map((kind) => [kind.name, ajv.compile(nodeSchema(kind))])),
  };
}

/** Checks a definition without looking into its nodes. */
export function checkHead(definition: Json, faults: Faults): boolean {
  return report(shapes().head, definition, "", "", faults);
}

/** Checks one node against its kind; `kind` must be one of the registry. */
export function checkNode(kind: string, node: Json, pointer: string, id: string, faults: Faults): boolean {
  const validate = shapes().nodes.get(kind);
  return validate === undefined || report(validate, node, pointer, id, faults);
}

function report(validate: ValidateFunction, value: Json, pointer: string, node: string, faults: Faults): boolean {
  if (validate(value)) return true;
  const errors = validate.errors ?? [];
  for (const error of errors) {
    if (error.keyword === "if" || coveredByAlternative(error, errors)) continue;
    const [message, mend] = explain(error);
    faults.add(pointer + error.instancePath + extraKey(error), message, mend, node);
  }
  return false;
}

/** What the branches of an `anyOf` each miss is noise beside what the whole of it expects. */
function coveredByAlternative(error: ErrorObject, errors: readonly ErrorObject[]): boolean {
  return errors.some(
    (other) => other !== error && other.keyword === "anyOf" && error.schemaPath.startsWith(`${other.schemaPath}/`),
  );
}

function param(error: ErrorObject, name: string): string {
  const params: Readonly<Record<string, unknown>> = error.params;
  return String(params[name]);
}

function extraKey(error: ErrorObject): string {
  return error.keyword === "additionalProperties" ? pointerTo("", param(error, "additionalProperty")) : "";
}

function keysOf(value: unknown): readonly string[] {
  return typeof value === "object" && value !== null ? Object.keys(value) : [];
}

function explain(error: ErrorObject): readonly [string, string] {
  const schema: Readonly<Record<string, unknown>> = error.parentSchema ?? {};
  const what = typeof schema["description"] === "string" ? schema["description"] : "See docs/workflows.md.";
  switch (error.keyword) {
    case "additionalProperties": {
      const key = param(error, "additionalProperty");
      const known = keysOf(schema["properties"]);
      const near = nearest(key, known);
      return [
        `there is no key ${JSON.stringify(key)} here`,
        near === undefined ? `The keys are ${known.join(", ")}.` : `Did you mean "${near}"?`,
      ];
    }
    case "required":
      return [`the key "${param(error, "missingProperty")}" is missing`, `Add ${param(error, "missingProperty")}.`];
    case "type":
      return [`must be of type ${param(error, "type").replaceAll(",", " or ")}`, what];
    case "enum":
      return [`must be one of ${JSON.stringify(error.schema)}`, what];
    case "pattern":
      return [patternMessage(error), isDuration(error) ? "Write a duration such as 250ms, 30s, 5m, 2h or 1d." : what];
    case "anyOf":
      return [`must be ${String(schema["x-expects"] ?? "of another form")}`, what];
    default:
      return [error.message ?? "is wrong", what];
  }
}

function isDuration(error: ErrorObject): boolean {
  return param(error, "pattern").includes("ms|s|m|h|d");
}

function patternMessage(error: ErrorObject): string {
  const text = JSON.stringify(typeof error.data === "string" ? error.data.slice(0, 100) : error.data);
  if (isDuration(error)) return `${text} is not a duration`;
  if (param(error, "pattern").includes("A-Za-z0-9._-"))
    return `${text} is not a name (letters, digits, ".", "_" and "-", at most 128, first a letter or digit)`;
  return `${text} does not match ${param(error, "pattern")}`;
}
