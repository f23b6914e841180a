import type { DescField } from "@bufbuild/protobuf";
import type { Json } from "@longhaul/core";
import { terminalStates } from "@longhaul/core";
import type { HttpRoute } from "../http/route-table.ts";
import { errorAnswers, problemSchema } from "./error-answers.ts";
import { type Components, commentOf, described, fieldSchema, messageSchema, objectSchema } from "./message-schema.ts";
import { protoComments } from "./proto-comments.ts";

type JsonObject = { readonly [key: string]: Json };

/** Fields that headers stand for. */
const headerFields: Readonly<Record<string, string>> = {
  wait: "Prefer",
  if_none_match: "IfNoneMatch",
  request_id: "IdempotencyKey",
  last_event_id: "LastEventId",
};

/** The OpenAPI 3.1 document of the native API, from the same descriptors that the routes come from. */
export function openApiDocument(routes: readonly HttpRoute[], version: string): JsonObject {
  const components: Components = new Map();
  const paths = new Map<string, Record<string, Json>>();
  for (const route of routes) {
    const path = route.path.text.replaceAll(/\{(\w+)\}/g, (_, name: string) => `{${paramName(route, name)}}`);
    const operations = paths.get(path) ?? {};
    operations[route.verb.toLowerCase()] = operationOf(route, components);
    paths.set(path, operations);
  }
  paths.set("/v1/workflow-schema", { get: workflowSchemaOperation });
  const tags = [...new Set(routes.map((route) => route.service))].map((service) => ({
    name: tagOf(service.name),
    ...described(protoComments[service.typeName]),
  }));
  return {
    openapi: "3.1.0",
    info: {
      title: "Longhaul",
      version,
      description:
        "Durable asynchronous workflows: submit a task, get its id at once, get the result by poll, long poll, stream or signed webhook.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags,
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description: "An API key, `lh_...`. Not needed where the server runs without keys.",
        },
        apiKey: { type: "apiKey", in: "header", name: "x-api-key" },
      },
      parameters,
      headers,
      schemas: { ...Object.fromEntries(components), Problem: problemSchema },
    },
  };
}

function operationOf(route: HttpRoute, components: Components): JsonObject {
  const { service, method, body, path } = route;
  const comment = protoComments[`${service.typeName}.${method.name}`] ?? "";
  const inPath = new Set(path.params);
  const rest = method.input.fields.filter((field) => !inPath.has(field.name));
  return {
    operationId: `${service.name}.${method.name}${route.isPrimary ? "" : `.${variantOf(route)}`}`,
    tags: [tagOf(service.name)],
    summary: (/^.*?[.:](?=\s|$)/.exec(comment)?.[0] ?? comment).replace(/[.:]$/, ""),
    description: comment,
    parameters: [
      ...path.params.map((name) => pathParameter(route, name, components)),
      ...headerParameters(route),
      ...queryParameters(route, rest, components),
    ],
    ...(body.kind !== "none" && { requestBody: requestBody(route, rest, components) }),
    ...(route.dress.open && { security: [] }),
    responses: { ...successes(route, components), ...errorAnswers(comment, body.kind !== "none") },
  };
}

/** What tells an additional way to call a method from the first one: what its path carries, or its custom verb. */
function variantOf({ path }: HttpRoute): string {
  return path.params.length > 0 ? path.params.join(".") : (path.text.split(":").at(-1) ?? "");
}

function pathParameter(route: HttpRoute, name: string, components: Components): JsonObject {
  const field = route.method.input.fields.find((one) => one.name === name);
  return {
    name: paramName(route, name),
    in: "path",
    required: true,
    schema: field ? withoutText(fieldSchema(field, components)) : {},
    ...described(field && commentOf(field)),
  };
}

function headerParameters({ method, verb, dress }: HttpRoute): readonly JsonObject[] {
  const names = method.input.fields.flatMap((field) => headerFields[field.name] ?? []);
  if (verb === "GET" && dress.etag !== "" && !names.includes("IfNoneMatch")) names.push("IfNoneMatch");
  return names.map((name) => ({ $ref: `#/components/parameters/${name}` }));
}

function queryParameters({ body }: HttpRoute, rest: readonly DescField[], components: Components): readonly JsonObject[] {
  if (body.kind === "all") return [];
  const fields = rest.filter(
    (field) => headerFields[field.name] === undefined && !(body.kind === "field" && body.field === field),
  );
  return fields.map((field) => ({
    name: field.fieldKind === "map" ? `${field.jsonName}.<key>` : field.jsonName,
    in: "query",
    required: false,
    ...(field.fieldKind === "list" && { style: "form", explode: true }),
    schema: field.fieldKind === "map" ? { type: "string" } : withoutText(fieldSchema(field, components)),
    ...described(commentOf(field)),
  }));
}

function requestBody({ body, method, path }: HttpRoute, rest: readonly DescField[], components: Components): JsonObject {
  const schema =
    body.kind === "field"
      ? fieldSchema(body.field, components)
      : path.params.length === 0
        ? messageSchema(method.input, components)
        : objectSchema(method.input, rest, components);
  const required =
    (body.kind === "field" && body.field.message?.typeName !== "google.protobuf.Value") ||
    "required" in (components.get(method.input.name) ?? {});
  return { required, content: { "application/json": { schema }, "application/yaml": { schema } } };
}

function successes(route: HttpRoute, components: Components): JsonObject {
  const { dress, method, verb } = route;
  const status = dress.status || 200;
  if (dress.eventStream) return { "200": eventStream(route, components) };
  if (status === 204) return { "204": { description: "Done; there is nothing to say." } };
  const field = method.output.fields.find((one) => one.name === dress.responseBody);
  const schema = field ? fieldSchema(field, components) : messageSchema(method.output, components);
  const isReplayable = method.output.fields.some((one) => one.name === "replayed");
  const hasWait = method.input.fields.some((one) => one.name === "wait");
  const common = {
    ...(dress.etag !== "" && { ETag: { $ref: "#/components/headers/ETag" } }),
    ...(isReplayable && { "Idempotent-Replayed": { $ref: "#/components/headers/IdempotentReplayed" } }),
    ...(hasWait && { "Preference-Applied": { $ref: "#/components/headers/PreferenceApplied" } }),
    ...(dress.location !== "" && { Location: { $ref: "#/components/headers/Location" } }),
  };
  const content = { "application/json": { schema } };
  const text = protoComments[method.output.typeName] ?? "";
  const answers: Record<string, Json> = {};
  if (status === 202 && hasWait)
    answers["200"] = { description: `${text} It ended within the wait asked for.`, headers: common, content };
  const retry = dress.location === "" ? {} : { "Retry-After": { $ref: "#/components/headers/RetryAfter" } };
  answers[String(status)] = { description: text, headers: { ...common, ...retry }, content };
  if (verb === "GET" && dress.etag !== "")
    answers["304"] = { description: "Unchanged since the version named in If-None-Match.", headers: common };
  return answers;
}

function eventStream({ method }: HttpRoute, components: Components): JsonObject {
  const events = method.output.oneofs.flatMap((oneof) => oneof.fields);
  const lines = events.map(
    (field) => `- \`event: ${field.name}\`: ${commentOf(field)} \`data:\` is a ${field.message?.name ?? "value"}.`,
  );
  // Referenced nowhere else, yet readers of the stream need them.
  const schemas = events.flatMap((field) => (field.message ? [messageSchema(field.message, components)] : []));
  return {
    description: `Server-sent events. \`id:\` resumes by Last-Event-ID; comments are heartbeats; the stream ends after the event \`end\` (a task that is ${terminalStates.join(", ")}).\n\n${lines.join("\n")}`,
    content: {
      "text/event-stream": {
        schema: {
          type: "string",
          description: "Each event's data is JSON of one of these.",
          contentMediaType: "text/event-stream",
          "x-data": { anyOf: schemas },
        },
      },
    },
  };
}

function paramName(route: HttpRoute, name: string): string {
  return route.method.input.fields.find((field) => field.name === name)?.jsonName ?? name;
}

function tagOf(service: string): string {
  return service.replace(/Service$/, "");
}

function withoutText({ description: _, ...schema }: JsonObject): JsonObject {
  return schema;
}

const parameters: JsonObject = {
  Prefer: {
    name: "Prefer",
    in: "header",
    required: false,
    schema: { type: "string" },
    description: "`wait=N`: wait up to N seconds (1 to 60) for the task to end or, with If-None-Match, to change.",
    example: "wait=20",
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    required: false,
    schema: { type: "string" },
    description: "Entity tags of the versions known; answers 304 when nothing changed.",
    example: '"3"',
  },
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    required: false,
    schema: { type: "string", minLength: 1, maxLength: 257 },
    description:
      "1 to 255 printable ASCII characters, bare or as a quoted string. The same key and body answer the same task; the same key with another body is refused.",
    example: '"order-4711"',
  },
  LastEventId: {
    name: "Last-Event-ID",
    in: "header",
    required: false,
    schema: { type: "string" },
    description: "Id of the last event seen: the stream goes on behind it. The query parameter lastEventId means the same.",
  },
};

const headers: JsonObject = {
  ETag: { schema: { type: "string" }, description: "The version in quotes; a strong entity tag." },
  Location: { schema: { type: "string" }, description: "Path of the task." },
  RetryAfter: { schema: { type: "integer" }, description: "Seconds after which to try, or look, again." },
  IdempotentReplayed: {
    schema: { type: "string", enum: ["true"] },
    description: "Set when an earlier request with the same key made the task.",
  },
  PreferenceApplied: { schema: { type: "string" }, description: "The wait that was applied." },
};

const workflowSchemaOperation: JsonObject = {
  operationId: "WorkflowSchema",
  tags: ["Workflow"],
  summary: "The JSON Schema of workflow definitions",
  description: "For editors and for checking definitions before they are put.",
  security: [],
  responses: { "200": { description: "A JSON Schema.", content: { "application/schema+json": { schema: { type: "object" } } } } },
};
