import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { Json } from "@longhaul/core";
import { protoComments } from "./proto-comments.ts";

export type JsonSchema = { readonly [key: string]: Json };

/** Schemas by component name, filled while messages are met. */
export type Components = Map<string, JsonSchema>;

/** A reference to the component of a message, which is added, with all that it needs, when it is missing. */
export function messageSchema(message: DescMessage, components: Components): JsonSchema {
  if (!components.has(message.name)) {
    // Reserved first, so that a message which contains itself comes to an end.
    components.set(message.name, {});
    components.set(message.name, objectSchema(message, message.fields, components));
  }
  return { $ref: `#/components/schemas/${message.name}` };
}

/** The schema of some of a message's fields. */
export function objectSchema(message: DescMessage, fields: readonly DescField[], components: Components): JsonSchema {
  const required = fields.filter((field) => /\bRequired\./.test(commentOf(field))).map((field) => field.jsonName);
  return {
    type: "object",
    ...described(protoComments[message.typeName]),
    properties: Object.fromEntries(fields.map((field) => [field.jsonName, fieldSchema(field, components)])),
    ...(required.length > 0 && { required }),
  };
}

export function fieldSchema(field: DescField, components: Components): JsonSchema {
  const description = described(commentOf(field));
  switch (field.fieldKind) {
    case "scalar":
      return { ...scalarSchema(field.scalar), ...description };
    case "enum":
      return { ...enumSchema(field.enum, components), ...description };
    case "message":
      return { ...wellKnown(field.message, components), ...description };
    case "list":
      return { type: "array", items: elementSchema(field, components), ...description };
    case "map":
      return { type: "object", additionalProperties: elementSchema(field, components), ...description };
  }
}

export function commentOf(field: DescField): string {
  return protoComments[`${field.parent.typeName}.${field.name}`] ?? "";
}

export function described(text: string | undefined): JsonSchema {
  return text ? { description: text } : {};
}

function elementSchema(field: DescField & { fieldKind: "list" | "map" }, components: Components): JsonSchema {
  if (field.message) return wellKnown(field.message, components);
  if (field.enum) return enumSchema(field.enum, components);
  return scalarSchema(field.scalar ?? ScalarType.STRING);
}

function wellKnown(message: DescMessage, components: Components): JsonSchema {
  switch (message.typeName) {
    case "google.protobuf.Timestamp":
      return { type: "string", format: "date-time" };
    case "google.protobuf.Duration":
      return { type: "string", pattern: "^-?\\d+(\\.\\d{1,9})?s$" };
    case "google.protobuf.Struct":
      return { type: "object", additionalProperties: true };
    case "google.protobuf.Value":
      return {};
    default:
      return messageSchema(message, components);
  }
}

function enumSchema(desc: DescEnum, components: Components): JsonSchema {
  if (!components.has(desc.name)) {
    const values = desc.values.filter((value) => value.number !== 0);
    const lines = values.map(
      (value) => `- \`${shortName(desc, value.name)}\`: ${protoComments[`${desc.typeName}.${value.name}`] ?? ""}`,
    );
    components.set(desc.name, {
      type: "string",
      enum: values.map((value) => shortName(desc, value.name)),
      description: `${protoComments[desc.typeName] ?? ""}\n\n${lines.join("\n")}`,
    });
  }
  return { $ref: `#/components/schemas/${desc.name}` };
}

function shortName(desc: DescEnum, name: string): string {
  return name.slice(desc.sharedPrefix?.length ?? 0).toLowerCase();
}

function scalarSchema(type: ScalarType): JsonSchema {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: "number" };
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return { type: "integer", format: "int64" };
    default:
      return { type: "integer", format: "int32" };
  }
}
