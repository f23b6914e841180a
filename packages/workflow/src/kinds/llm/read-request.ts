import type { Json } from "@longhaul/core";
import type { JsonSchema } from "../../definition/schema-type.ts";
import type { JsonObject } from "../../expression/cel-value.ts";
import { objectOf } from "../../expression/json-object.ts";
import type { Connection } from "../connection.ts";
import { NodeFailure } from "../kind.ts";
import { maxMessages, maxParts, maxStops, roles } from "./schema.ts";

type Role = (typeof roles)[number];
export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: { readonly url: string; readonly detail?: "auto" | "low" | "high" } };

export interface Message {
  readonly role: Role;
  readonly content: string | readonly Part[];
  readonly name?: string;
}

/** What a node asks, checked. */
export interface LlmRequest {
  readonly model: string;
  readonly messages: readonly Message[];
  readonly schema?: JsonSchema;
  readonly temperature?: number;
  readonly topP?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly maxTokens?: number;
  readonly stop?: readonly string[];
  readonly seed?: number;
}

/** Name of the connection that an evaluated `with` asks for. */
export function connectionName(input: Json): string {
  const { connection } = objectOf(input);
  if (connection === undefined || connection === null) return "default";
  if (typeof connection !== "string" || connection === "")
    throw wrong("/connection", "is not a name", "Give the name of a connection.");
  return connection;
}

/** Checks what expressions made of `with`. Throws NodeFailure `invalid_request`, with the place and what to do. */
export function readRequest(input: Json, connection: Connection): LlmRequest {
  const given = objectOf(input);
  const { messages, schema } = given;
  if (!Array.isArray(messages) || messages.length === 0)
    throw wrong("/messages", "is no list of messages", "Give at least one { role, content }.");
  if (messages.length > maxMessages) throw wrong("/messages", `has more than ${maxMessages} messages`, "Leave out the oldest.");
  const temperature = numberAt(given, "temperature", 0, 2);
  const topP = numberAt(given, "topP", 0, 1);
  const presencePenalty = numberAt(given, "presencePenalty", -2, 2);
  const frequencyPenalty = numberAt(given, "frequencyPenalty", -2, 2);
  const maxTokens = integerAt(given, "maxTokens", 1, 1_000_000);
  const seed = integerAt(given, "seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const stop = stopAt(given["stop"]);
  return {
    model: modelOf(given["model"], connection),
    messages: messages.map((message: Json, index) => messageAt(message, `/messages/${index}`)),
    ...(typeof schema === "object" && schema !== null ? { schema: schema as JsonSchema } : {}),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(stop === undefined ? {} : { stop }),
    ...(seed === undefined ? {} : { seed }),
  };
}

function modelOf(given: Json | undefined, { name, defaultModel, allowedModels }: Connection): string {
  const model = given ?? defaultModel;
  if (model === undefined)
    throw wrong(
      "/model",
      `is not given, and connection "${name}" has no default`,
      "Give with.model, or the connection a defaultModel.",
    );
  if (typeof model !== "string" || model === "") throw wrong("/model", "is not the name of a model", "Give a text.");
  if (allowedModels.length === 0 || allowedModels.includes(model)) return model;
  const some = allowedModels.slice(0, 10).join(", ");
  throw wrong(
    "/model",
    `is ${JSON.stringify(model.slice(0, 100))}, which connection "${name}" does not allow`,
    `Use one of ${some}${allowedModels.length > 10 ? " and others" : ""}, or add it to the connection's allowedModels.`,
  );
}

function messageAt(message: Json, pointer: string): Message {
  const { role, content, name } = objectOf(message);
  const known = roles.find((each) => each === role);
  if (known === undefined) throw wrong(`${pointer}/role`, "is no role", `Use one of ${roles.join(", ")}.`);
  if (name !== undefined && name !== null && typeof name !== "string")
    throw wrong(`${pointer}/name`, "is not text", "Give a text.");
  return {
    role: known,
    content: typeof content === "string" ? content : partsAt(content, `${pointer}/content`),
    ...(typeof name === "string" ? { name } : {}),
  };
}

function partsAt(content: Json | undefined, pointer: string): readonly Part[] {
  if (!Array.isArray(content) || content.length === 0)
    throw wrong(pointer, "is neither text nor a list of parts", 'Put other values into a text, such as "Data: ${ nodes.x }".');
  if (content.length > maxParts) throw wrong(pointer, `has more than ${maxParts} parts`, "Join texts, or leave out images.");
  return content.map((part: Json, index) => partAt(part, `${pointer}/${index}`));
}

function partAt(part: Json, pointer: string): Part {
  const { type, text, image_url: image } = objectOf(part);
  if (type === "text" && typeof text === "string") return { type, text };
  if (type === "image_url") {
    const { url, detail } = objectOf(image);
    if (typeof url !== "string" || !/^(https?:\/\/|data:)/i.test(url))
      throw wrong(
        `${pointer}/image_url/url`,
        "is neither an http(s) URL nor a data: URL",
        "Give where the image is, or the image itself.",
      );
    if (detail === undefined || detail === null) return { type, image_url: { url } };
    if (detail !== "auto" && detail !== "low" && detail !== "high")
      throw wrong(`${pointer}/image_url/detail`, "is not a detail", "Use auto, low or high.");
    return { type, image_url: { url, detail } };
  }
  throw wrong(pointer, "is no part of a message", "Write { type: text, text } or { type: image_url, image_url: { url } }.");
}

function numberAt(given: JsonObject, key: string, least: number, most: number): number | undefined {
  const value = given[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw wrong(`/${key}`, `is not a number from ${least} to ${most}`, "Give such a number, or leave it out.");
}

function integerAt(given: JsonObject, key: string, least: number, most: number): number | undefined {
  const value = numberAt(given, key, least, most);
  if (value === undefined || Number.isInteger(value)) return value;
  throw wrong(`/${key}`, "is not a whole number", "Give a whole number.");
}

function stopAt(value: Json | undefined): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const list: readonly Json[] = Array.isArray(value) ? value : [value];
  const texts = list.filter((each) => typeof each === "string" && each !== "");
  if (texts.length === list.length && list.length > 0 && list.length <= maxStops) return texts.map(String);
  throw wrong("/stop", `is neither text nor a list of 1 to ${maxStops} texts`, "Give the text before which the answer ends.");
}

function wrong(pointer: string, what: string, mend: string): NodeFailure {
  return new NodeFailure("invalid_request", `with${pointer} ${what}. ${mend}`, {
    retryable: false,
    sent: "no",
    details: { pointer: `/with${pointer}`, mend },
  });
}
