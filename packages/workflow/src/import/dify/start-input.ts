import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import type { Findings } from "./import-report.ts";
import { flagAt, isBlank, isObject, numberAt, own, selectorAt, textAt } from "./loose-fields.ts";

/** The JSON Schema of the start's variables, and of what the system gave in Dify. */
export function startInput(
  variables: readonly JsonObject[],
  system: ReadonlySet<string>,
  findings: Findings,
): JsonObject | undefined {
  const properties: Record<string, Json> = {};
  const required: string[] = [];
  for (const variable of variables) {
    const name = textAt(variable, "variable");
    if (name === "") continue;
    setOwn(properties, name, propertyOf(name, variable, findings));
    if (flagAt(variable, "required") && !required.includes(name)) required.push(name);
    findings.keep(`variable ${name}`);
  }
  if (system.has("sys_user_id")) properties["sys_user_id"] = { type: "string", description: "Who calls; sys.user_id in Dify." };
  if (system.has("sys_files"))
    properties["sys_files"] = { type: "array", items: { type: "object" }, description: "Files of the call; sys.files in Dify." };
  if (Object.keys(properties).length === 0) return undefined;
  return { type: "object", ...(required.length === 0 ? {} : { required }), properties };
}

function propertyOf(name: string, variable: JsonObject, findings: Findings): JsonObject {
  const label = textAt(variable, "label");
  const fallback = own(variable, "default");
  if (!isBlank(fallback))
    findings.change(
      `default of ${name}`,
      "a default is not put into the input",
      "Nothing: where the value is used, the default stands in.",
    );
  return {
    ...shapeOf(name, variable, findings),
    ...(label === "" || label === name ? {} : { title: label }),
    ...(isBlank(fallback) ? {} : { default: fallback ?? null }),
  };
}

function shapeOf(name: string, variable: JsonObject, findings: Findings): JsonObject {
  const type = textAt(variable, "type", "text-input");
  const most = numberAt(variable, "max_length");
  switch (type) {
    case "text-input":
    case "paragraph":
      return { type: "string", ...(most !== undefined && most > 0 && { maxLength: Math.floor(most) }) };
    case "select":
      return { type: "string", enum: [...new Set(selectorAt(variable, "options"))] };
    case "number":
      return { type: "number" };
    case "checkbox":
    case "boolean":
      return { type: "boolean" };
    case "json":
    case "json_object":
    case "object":
      return objectShape(name, variable, findings);
    case "file":
      files(name, findings);
      return fileShape;
    case "file-list":
      files(name, findings);
      return { type: "array", items: fileShape, ...(most !== undefined && most > 0 && { maxItems: Math.floor(most) }) };
    default:
      findings.lose(
        `type of ${name}`,
        `there is no type ${JSON.stringify(type.slice(0, 40))}`,
        "Any value is taken; give it a schema.",
      );
      return {};
  }
}

const fileShape: JsonObject = {
  type: "object",
  description: "A file, as its caller describes it: { type, url, name }.",
};

function files(name: string, findings: Findings): void {
  findings.change(
    `file ${name}`,
    "files are not uploaded or checked; the input is an object that describes them",
    "Send a url with each file, and fetch it with an http node.",
  );
}

function objectShape(name: string, variable: JsonObject, findings: Findings): JsonObject {
  const given = own(variable, "json_schema");
  if (isBlank(given)) return { type: "object" };
  const schema = isObject(given) ? given : parsedSchema(given);
  if (schema === undefined) {
    findings.lose(`schema of ${name}`, "it is not JSON", "Write the schema into the input.");
    return { type: "object" };
  }
  // The schema is a part of another one now.
  const { $schema: _dialect, ...rest } = schema;
  return { type: "object", ...rest };
}

function parsedSchema(text: Json | undefined): JsonObject | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const value: Json = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
