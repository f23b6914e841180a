import type { Json } from "@longhaul/core";
import type { NodeKind } from "../kinds/kind.ts";
import { kinds } from "../kinds/registry.ts";
import { durationPattern } from "./duration.ts";
import type { JsonSchema } from "./schema-type.ts";

/** Names of workflows and ids of nodes. */
export const namePattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
/** Those inside of others included. */
export const maxNodes = 500;
/** Levels of nodes inside of nodes, the workflow's own included. */
export const maxNesting = 5;

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
    on: {
      type: "array",
      minItems: 1,
      maxItems: 50,
      items: { type: "string", pattern: "^[a-z][a-z0-9_]{0,63}$" },
      description: "Codes of the failures to try again, and no others; without it, those that may pass.",
    },
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
  onError: {
    description: "What a failure of the node is turned into; fail leaves it a failure.",
    "x-expects": '"fail", "continue", or { "output": any JSON }',
    anyOf: [
      { enum: ["fail", "continue"], default: "fail" },
      {
        type: "object",
        required: ["output"],
        additionalProperties: false,
        properties: { output: { description: "The node's output instead; its expressions may use errors.<id> of the node." } },
      },
    ],
  },
  onUnknown: {
    enum: ["retry", "fail", "ask"],
    default: "retry",
    description: "What to do when a call was sent and its answer not seen: send it again, fail, or ask somebody.",
  },
  cache: {
    type: "object",
    description: "Keeps the node's result and uses it again for the same key.",
    required: ["key", "ttl"],
    additionalProperties: false,
    properties: {
      key: { description: "What tells results apart, with expressions." },
      ttl: duration("How long a result is used."),
    },
  },
  secret: {
    type: "boolean",
    default: false,
    description: "True keeps the node's input and output sealed and shows them to nobody.",
  },
};

/** What a node may say whose kind is tried. */
const triableProperties: JsonSchema = { timeout: duration("Time that one try may take."), retry: retrySchema };

/** What a node says that has a graph of its own. */
function nestedProperties(nodes: Json): JsonSchema {
  return {
    nodes: {
      type: "array",
      minItems: 1,
      maxItems: maxNodes,
      description: "The steps for each item. They see item, index, and what comes before this node.",
      items: nodes,
    },
    output: { description: "Result of one item, with expressions; without it, the outputs of the last nodes by their ids." },
  };
}

/** Schema of a node of one kind; `nodes` is that of the nodes inside of it. */
export function nodeSchema(kind: NodeKind, nodes: Json = {}): JsonSchema {
  const required = ["id", "kind", ...(kind.needsWith ? ["with"] : []), ...(kind.nested === true ? ["nodes"] : [])];
  return {
    type: "object",
    description: kind.description,
    required,
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...(kind.triable === false ? {} : triableProperties),
      kind: { const: kind.name, description: kind.description },
      with: kind.schema,
      ...(kind.nested === true ? nestedProperties(nodes) : {}),
    },
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
      keys: {
        type: "array",
        minItems: 1,
        maxItems: 4,
        uniqueItems: true,
        items: name,
        description:
          "Names of limits that this workflow shares with others; PUT /v1/limits/<name> says how many tasks may run under each.",
      },
      deadline: duration("Time from submit after which a task that has not ended is timed_out; 24h if not given."),
      tokens: { type: "integer", minimum: 1, description: "Language model tokens that a task may spend." },
      calls: { type: "integer", minimum: 1, description: "Calls to the outside that a task may make." },
      nodeRuns: { type: "integer", minimum: 1, description: "Nodes that a task may run, those of each item counted." },
      wallTime: duration("Time that a task may run, without what it waits."),
      onExceeded: {
        enum: ["fail", "ask"],
        default: "fail",
        description:
          "What happens at a ceiling of tokens, calls, nodeRuns or wallTime: the task fails, or waits until somebody lets it go on.",
      },
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
  ...topSchema({ $ref: "#/$defs/node" }),
  $defs: {
    node: {
      type: "object",
      required: ["id", "kind"],
      properties: { kind: { enum: [...kinds.keys()], description: "What the node does." } },
      allOf: [...kinds.values()].map((kind) => ({
        if: { properties: { kind: { const: kind.name } }, required: ["kind"] },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { $ref: `#/$defs/${kind.name}` },
      })),
    },
    ...Object.fromEntries([...kinds.values()].map((kind) => [kind.name, nodeSchema(kind, { $ref: "#/$defs/node" })])),
  },
};
