import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** Most messages, and most parts of one. */
export const maxMessages = 1000;
export const maxParts = 100;
export const roles = ["system", "developer", "user", "assistant"] as const;
export const maxStops = 16;
const maxUrl = 8_388_608;

const part: JsonSchema = orExpression({
  type: "object",
  "x-expects": '{ "type": "text", "text" } or { "type": "image_url", "image_url": { "url", "detail" } }',
  required: ["type"],
  additionalProperties: false,
  properties: {
    type: { enum: ["text", "image_url"], description: "What the part is." },
    text: { type: "string", description: "The text of a text part." },
    image_url: orExpression({
      type: "object",
      description: "The image of an image_url part.",
      required: ["url"],
      additionalProperties: false,
      properties: {
        url: {
          type: "string",
          minLength: 1,
          maxLength: maxUrl,
          description: "An https URL that the model server fetches, or a data: URL.",
        },
        detail: orExpression({ enum: ["auto", "low", "high"], description: "How closely the model looks." }),
      },
    }),
  },
});

const message: JsonSchema = orExpression({
  type: "object",
  required: ["role", "content"],
  additionalProperties: false,
  properties: {
    role: orExpression({ enum: [...roles], description: "Who says it." }),
    content: {
      description: "What is said: text, or parts of text and images.",
      "x-expects": "text, or a list of parts",
      anyOf: [{ type: "string" }, { type: "array", minItems: 1, maxItems: maxParts, items: part }],
    },
    name: { type: "string", minLength: 1, maxLength: 256, description: "Tells apart who speak in the same role." },
  },
});

const number = (minimum: number, maximum: number, description: string): JsonSchema =>
  orExpression({ type: "number", minimum, maximum, description });

/** `with` of an llm node. */
export const llmSchema: JsonSchema = {
  type: "object",
  description: "What to ask a model, by which connection.",
  required: ["messages"],
  additionalProperties: false,
  properties: {
    connection: {
      type: "string",
      minLength: 1,
      maxLength: 512,
      default: "default",
      description: "Name of a connection of the project.",
    },
    model: { type: "string", minLength: 1, maxLength: 512, description: "The model; the connection's own default if not given." },
    messages: orExpression({
      type: "array",
      minItems: 1,
      maxItems: maxMessages,
      items: message,
      description: "The conversation so far, the oldest message first.",
    }),
    schema: {
      type: "object",
      description: "JSON Schema (2020-12) that the answer must fit; then the output has the answer as object.",
    },
    temperature: number(0, 2, "How freely the model chooses its words: 0 hardly, 1 as it was trained."),
    topP: number(0, 1, "Chooses among the likeliest words that together have this probability."),
    presencePenalty: number(-2, 2, "Above 0 keeps the model from what it has said at all."),
    frequencyPenalty: number(-2, 2, "Above 0 keeps the model from what it has said often."),
    maxTokens: orExpression({
      type: "integer",
      minimum: 1,
      maximum: 1_000_000,
      description: "Most tokens of the answer; one that is longer ends there.",
    }),
    stop: orExpression({
      "x-expects": "text, or a list of texts",
      anyOf: [
        { type: "string", minLength: 1 },
        { type: "array", minItems: 1, maxItems: maxStops, items: { type: "string", minLength: 1 } },
      ],
      description: "The answer ends before any of these.",
    }),
    seed: orExpression({
      type: "integer",
      minimum: -9_007_199_254_740_991,
      maximum: 9_007_199_254_740_991,
      description: "Asks the model for the same answer to the same question, as far as it can.",
    }),
  },
};
