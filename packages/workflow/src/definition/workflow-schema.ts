import type { Json } from "@longhaul/core";
import type { NodeKind } from "../kinds/kind.ts";
import { kinds } from "../kinds/registry.ts";
import { durationPattern } from "./duration.ts";
import type { JsonSchema } from "./schema-type.ts";

/** Names of workflows and ids of nodes. */
export const namePattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
export const maxNodes = 500;

function duration(description: string): JsonSchema {
  return { type: "string", pattern: durationPattern, description: `${description} A duration such as 250ms, 30s, 5m, 2h or 1d.` };
}

const name: JsonSchema = { type: "string", pattern: namePattern };

const retrySchema: JsonSchema = {
  type: "object",
  description: "How to try again when the node fails in a way that may pass.",
  additionalProperties: false,
  properties: {
    attempts: { type: "integer", minimum: 1, maximum: 100, default: 3, description: "How often in all, the first try included." },
    delay: duration("Wait before the second try; 1s if not given."),
    factor: { type: "number", minimum: 1, maximum: 100, default: 2, description: "What each further wait is multiplied by." },
    max: duration("The longest wait; 30s if not given."),
    jitter: {
      type: "number",
      minimum: 0,
      maximum: 1,
      default: 0.2,
      description: "Share of a wait that is random: 0.2 gives 80 % to 100 % of it.",
    },
  },
};

const needSchema: JsonSchema = {
  description: "A node that must have ended before.",
  "x-expects": 'the id of a node, or { "node": id, "on": "succeeded" or "failed" }',
  anyOf: [
    name,
    {
      type: "object",
      required: ["node"],
      additionalProperties: false,
      properties: {
        node: { ...name, description: "Id of the node." },
        on: { enum: ["succeeded", "failed"], default: "succeeded", description: "The outcome of it that leads on to here." },
      },
    },
  ],
};

/** What every node may say, whatever its kind. */
const commonProperties: JsonSchema = {
  id: { ...name, description: "Name of the node, unique in the workflow; its output is nodes.<id>." },
  description: { type: "string", maxLength: 4096, description: "For people." },
  needs: {
    type: "array",
    maxItems: maxNodes,
    items: needSchema,
    description: "The nodes that come before this one. It runs when all have ended and at least one led here.",
  },
  when: { type: ["string", "boolean"], description: "An expression that is true or false; false skips the node." },
  timeout: duration("Time that one try may take."),
  retry: retrySchema,
};

/** Schema of a node of one kind. */
export function nodeSchema(kind: NodeKind): JsonSchema {
  return {
    type: "object",
    description: kind.description,
    required: kind.needsWith ? ["id", "kind", "with"] : ["id", "kind"],
    additionalProperties: false,
    properties: { ...commonProperties, kind: { const: kind.name, description: kind.description }, with: kind.schema },
  };
}

const topProperties: JsonSchema = {
  name: { ...name, description: "Name of the workflow." },
  description: { type: "string", maxLength: 4096, description: "For people." },
  input: { type: ["object", "boolean"], description: "JSON Schema (2020-12) that a task's input must fit." },
  limits: {
    type: "object",
    description: "Bounds of every task of this workflow.",
    additionalProperties: false,
    properties: {
      concurrency: {
        type: "integer",
        minimum: 1,
        maximum: 100_000,
        description: "How many tasks of this workflow may run at the same time.",
      },
      deadline: duration("Time from submit after which a task that has not ended is timed_out; 24h if not given."),
      tokens: { type: "integer", minimum: 1, description: "Language model tokens that a task may spend." },
    },
  },
  output: { description: "The task's output, with expressions; without it, the outputs of the last nodes by their ids." },
};

function topSchema(nodes: Json): JsonSchema {
  return {
    type: "object",
    required: ["name", "nodes"],
    additionalProperties: false,
    properties: {
      ...topProperties,
      nodes: {
        type: "array",
        minItems: 1,
        maxItems: maxNodes,
        description: "The steps. Those that need nothing of each other run side by side.",
        items: nodes,
      },
    },
  };
}

/** What a definition must look like apart from its nodes, which are checked one by one against their kind. */
export const headSchema: JsonSchema = topSchema({});

/** JSON Schema of a whole definition, for editors; served at `GET /v1/workflow-schema`. */
export const workflowSchema: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Longhaul workflow",
  description: "A graph of nodes. Text may hold CEL expressions in ${ }.",
  ...topSchema({
    type: "object",
    required: ["id", "kind"],
    properties: { kind: { enum: [...kinds.keys()], description: "What the node does." } },
    allOf: [...kinds.values()].map((kind) => ({
      if: { properties: { kind: { const: kind.name } }, required: ["kind"] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { $ref: `#/$defs/${kind.name}` },
    })),
  }),
  $defs: Object.fromEntries([...kinds.values()].map((kind) => [kind.name, nodeSchema(kind)])),
};
