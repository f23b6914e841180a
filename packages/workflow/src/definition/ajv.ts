import { createRequire } from "node:module";
import { Ajv2020, type Options } from "ajv/dist/2020.js";
import type { FormatsPlugin } from "ajv-formats";

// Both packages are CommonJS; required, their exports are what their types say under every loader.
const addFormats: FormatsPlugin = createRequire(import.meta.url)("ajv-formats");

/** An Ajv for 2020-12 with formats, which logs nothing and keeps no schema by id. */
export function newAjv(options: Options = {}): Ajv2020 {
  const ajv = new Ajv2020({
    strict: false,
    logger: false,
    allErrors: true,
    inlineRefs: false,
    addUsedSchema: false,
    ownProperties: true,
    ...options,
  });
  addFormats(ajv);
  return ajv;
}
