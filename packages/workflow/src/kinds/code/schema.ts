import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** Characters of a source. */
export const maxSourceLength = 256 * 1024;
export const defaultMemoryMiB = 64;
export const minMemoryMiB = 8;
export const maxMemoryMiB = 256;
export const defaultOutputBytes = 4 * 1024 * 1024;
export const maxOutputBytes = 16 * 1024 * 1024;

/** `with` of a code node. */
export const codeSchema: JsonSchema = {
  type: "object",
  description: "JavaScript to run in a sandbox: source, and the input that it receives.",
  required: ["source"],
  additionalProperties: false,
  properties: {
    source: {
      type: "string",
      minLength: 1,
      maxLength: maxSourceLength,
      description:
        "An ES module whose default export is a function, async or not, that receives input and returns JSON. Taken as it is: ${ } in it belongs to JavaScript.",
    },
    input: { description: "Any JSON, with expressions; null if not given." },
    memoryMiB: orExpression({
      type: "integer",
      minimum: minMemoryMiB,
      maximum: maxMemoryMiB,
      default: defaultMemoryMiB,
      description: "Memory that the code may use, in MiB.",
    }),
    outputBytes: orExpression({
      type: "integer",
      minimum: 1,
      maximum: maxOutputBytes,
      default: defaultOutputBytes,
      description: "Most bytes of the result as JSON.",
    }),
    now: orExpression({
      type: ["string", "number"],
      description:
        "What the clock says: a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970. Without it the code has no clock.",
    }),
  },
};
