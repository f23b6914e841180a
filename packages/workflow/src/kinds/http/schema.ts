import { durationPattern } from "../../definition/duration.ts";
import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** The usual methods; a node may use any other token but TRACE and CONNECT. */
export const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

const scalar: JsonSchema = { type: ["string", "number", "boolean", "null"] };

const scalarOrList: JsonSchema = {
  "x-expects": "text, a number, true, false, null or a list of these",
  anyOf: [scalar, { type: "array", items: scalar }],
};

const text: JsonSchema = { type: "string" };

const statuses: JsonSchema = {
  type: "array",
  maxItems: 100,
  items: {
    "x-expects": 'a status such as 404, or a class such as "2xx"',
    anyOf: [
      { type: "integer", minimum: 100, maximum: 599 },
      { type: "string", pattern: "^[1-5]xx$" },
    ],
  },
};

function named(description: string): JsonSchema {
  return orExpression({
    type: "object",
    description,
    required: ["name", "value"],
    additionalProperties: false,
    properties: {
      name: { type: "string", minLength: 1, maxLength: 256, description: "Its name." },
      value: { ...text, description: "What it says; it is shown nowhere." },
    },
  });
}

const auth: JsonSchema = orExpression({
  type: "object",
  description:
    "How the node proves who it is; exactly one of basic, bearer, header and query. Sent to the url's own origin only.",
  additionalProperties: false,
  properties: {
    basic: orExpression({
      type: "object",
      description: "Basic authentication.",
      required: ["username"],
      additionalProperties: false,
      properties: {
        username: { ...text, description: "Without a colon." },
        password: { type: ["string", "null"], description: "Empty if not given." },
      },
    }),
    bearer: { ...text, description: "Token for the header authorization: Bearer." },
    header: named("A header of the service's own, such as x-api-key."),
    query: named("A parameter of the URL."),
  },
});

const partSchema: JsonSchema = {
  "x-expects": "text, a number, true, false, null, or an object with one of text, json and base64",
  anyOf: [scalar, { type: "object" }],
};

const multipart: JsonSchema = orExpression({
  description:
    "Body to send as multipart/form-data: parts by name, or a list of { name, ... }. A part is text, or { text | json | base64, filename, contentType }.",
  "x-expects": "an object of parts by name, or a list of parts with name",
  anyOf: [
    {
      type: "object",
      additionalProperties: { anyOf: [partSchema, { type: "array", items: partSchema }] },
    },
    {
      type: "array",
      maxItems: 1000,
      items: { type: "object", required: ["name"], properties: { name: { ...text, description: "Name of the part." } } },
    },
  ],
});

const paginate: JsonSchema = {
  type: "object",
  description: "Reads page after page; the output's body is the list of all their items.",
  required: ["next"],
  additionalProperties: false,
  properties: {
    next: {
      description:
        "Evaluated after each page, with response (status, headers, body, links): the next page's URL, or { url, query, json } with what changes; null ends.",
    },
    items: { description: "Evaluated after each page, with response: the page's items; response.body if not given." },
    maxPages: orExpression({
      type: "integer",
      minimum: 1,
      maximum: 10_000,
      default: 100,
      description: "Most pages to read.",
    }),
  },
};

const asyncSchema: JsonSchema = {
  type: "object",
  description: "The called system answers 2xx at once and posts the result to a callback URL later; the node waits for it.",
  required: ["timeout"],
  additionalProperties: false,
  properties: {
    timeout: orExpression({
      type: "string",
      pattern: durationPattern,
      description: "How long to wait for the callback. A duration such as 30s, 15m or 2d.",
    }),
    urlIn: {
      type: "object",
      description: "Where the callback URL goes; exactly one. The header longhaul-callback-url if not given.",
      additionalProperties: false,
      properties: {
        header: { ...text, description: "Name of a header." },
        query: { ...text, description: "Name of a parameter of the URL." },
        form: { ...text, description: "Name of a form field." },
        json: { ...text, description: "JSON pointer of a key in json, such as /webhook/url." },
      },
    },
  },
};

/** `with` of an http node. */
export const httpSchema: JsonSchema = {
  type: "object",
  description: "The request to send. Give at most one of json, form, multipart, body and bodyBase64.",
  required: ["url"],
  additionalProperties: false,
  properties: {
    method: orExpression({
      "x-expects": "a method in capitals, such as GET or PURGE, but not TRACE or CONNECT",
      anyOf: [{ enum: [...methods] }, { type: "string", pattern: "^(?!(?:TRACE|CONNECT|PRI)$)[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$" }],
      default: "GET",
      description: "The request's method.",
    }),
    url: { type: "string", minLength: 1, maxLength: 8192, description: "Absolute http or https URL." },
    query: orExpression({
      type: "object",
      description: "Parameters to add to the URL; a list repeats its parameter, null leaves it out.",
      additionalProperties: scalarOrList,
    }),
    headers: orExpression({
      type: "object",
      description: "Headers to send; null leaves one out.",
      additionalProperties: scalar,
    }),
    auth,
    json: { description: "Body to send as JSON." },
    form: orExpression({
      type: "object",
      description: "Body to send as application/x-www-form-urlencoded.",
      additionalProperties: scalarOrList,
    }),
    multipart,
    body: { type: "string", description: "Body to send as it is, with your own content-type header." },
    bodyBase64: { type: "string", description: "Bytes to send, as base64, with your own content-type header." },
    acceptStatus: orExpression({
      ...statuses,
      description:
        'The only statuses that succeed, such as [200, 404] or ["2xx"]. Without it every status succeeds but 408, 429 and 5xx.',
      minItems: 1,
    }),
    retryStatus: orExpression({
      ...statuses,
      description: "The only statuses that fail in a way that may pass, so that retry applies. Without it 408, 429 and 5xx.",
    }),
    parse: orExpression({
      enum: ["auto", "json", "text", "base64", "none"],
      default: "auto",
      description: "How the answer is read: by its content type (auto), always as one of these, or not at all (none).",
    }),
    maxBytes: orExpression({
      type: "integer",
      minimum: 1,
      maximum: 16 * 1024 * 1024,
      default: 16 * 1024 * 1024,
      description: "Most bytes of an answer, or of all pages together.",
    }),
    followRedirects: orExpression({
      type: "integer",
      minimum: 0,
      maximum: 20,
      default: 0,
      description: "How many redirects to follow; with 0 a redirect is a status like any other.",
    }),
    paginate,
    async: asyncSchema,
  },
};
