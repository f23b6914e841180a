import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

export const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

const scalar: JsonSchema = { type: ["string", "number", "boolean", "null"] };

/** `with` of an http node. */
export const httpSchema: JsonSchema = {
  type: "object",
  description: "The request to send. Give at most one of json, form and body.",
  required: ["url"],
  additionalProperties: false,
  properties: {
    method: orExpression({ enum: [...methods], default: "GET", description: "The request's method." }),
    url: { type: "string", minLength: 1, maxLength: 8192, description: "Absolute http or https URL." },
    query: orExpression({
      type: "object",
      description: "Parameters to add to the URL; a list repeats its parameter, null leaves it out.",
      additionalProperties: {
        "x-expects": "text, a number, true, false, null or a list of these",
        anyOf: [scalar, { type: "array", items: scalar }],
      },
    }),
    headers: orExpression({
      type: "object",
      description: "Headers to send; null leaves one out.",
      additionalProperties: scalar,
    }),
    json: { description: "Body to send as JSON." },
    form: orExpression({
      type: "object",
      description: "Body to send as application/x-www-form-urlencoded.",
      additionalProperties: {
        "x-expects": "text, a number, true, false, null or a list of these",
        anyOf: [scalar, { type: "array", items: scalar }],
      },
    }),
    body: { type: "string", description: "Body to send as it is, with your own content-type header." },
    acceptStatus: orExpression({
      type: "array",
      description:
        'The only statuses that succeed, such as [200, 404] or ["2xx"]. Without it every status succeeds but 408, 429 and 5xx.',
      minItems: 1,
      maxItems: 100,
      items: {
        "x-expects": 'a status such as 404, or a class such as "2xx"',
        anyOf: [
          { type: "integer", minimum: 100, maximum: 599 },
          { type: "string", pattern: "^[1-5]xx$" },
        ],
      },
    }),
  },
};
