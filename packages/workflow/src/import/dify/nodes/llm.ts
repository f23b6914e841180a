import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../../expression/cel-value.ts";
import { UnsupportedJinja } from "../jinja-tokens.ts";
import { literal } from "../literal-json.ts";
import { flagAt, isBlank, isObject, numberAt, objectAt, objectsAt, own, selectorAt, textAt } from "../loose-fields.ts";
import { identifierOf } from "../node-ids.ts";
import { plainText } from "../template-text.ts";
import type { NodeImport, NodeImporter } from "./node-import.ts";
import { jinjaText } from "./simple.ts";

/** llm: messages to a model of a connection. */
export const llm: NodeImporter = {
  keys: [
    "model",
    "prompt_template",
    "prompt_config",
    "context",
    "memory",
    "vision",
    "structured_output",
    "structured_output_enabled",
    "structured_output_switch_on",
    "reasoning_format",
    "variables",
  ],
  run(it) {
    const { data, findings } = it;
    const model = objectAt(data, "model");
    const provider = textAt(model, "provider");
    const connection = identifierOf(provider.split("/").at(-1) ?? "") ?? "default";
    findings.change(
      "model provider",
      `calls go to the connection "${connection}"`,
      `Make a connection "${connection}" with the base URL and key of ${provider || "the provider"}; it must speak the OpenAI wire.`,
    );
    findings.keep("model", "prompt");
    const schema = schemaOf(data);
    if (schema !== undefined) findings.keep("structured output");
    reportRest(it);
    return {
      kind: "llm",
      with: {
        connection,
        ...(textAt(model, "name") === "" ? {} : { model: textAt(model, "name") }),
        messages: someMessages(messagesOf(it), it),
        ...(schema === undefined ? {} : { schema }),
        ...samplingOf(objectAt(model, "completion_params"), it),
      },
    };
  },
};

/** A model cannot be asked nothing. */
function someMessages(messages: readonly Json[], { findings }: NodeImport): readonly Json[] {
  if (messages.length > 0) return messages;
  findings.lose("prompt", "it has no message", "Write what the model is asked.");
  return [{ role: "user", content: "" }];
}

function messagesOf(it: NodeImport): readonly Json[] {
  const { data, findings } = it;
  const prompt = own(data, "prompt_template");
  if (isObject(prompt)) {
    findings.change("completion prompt", "models are called by chat", "It is one message of the user now; check the answers.");
    return [{ role: "user", content: contentOf(it, prompt) }];
  }
  return objectsAt(data, "prompt_template").map((message) => {
    const role = textAt(message, "role", "user");
    const known = ["system", "user", "assistant"].includes(role);
    if (!known)
      findings.change(`role ${JSON.stringify(role.slice(0, 40))}`, "there is no such role", "It is a user's message now.");
    return { role: known ? role : "user", content: contentOf(it, message) };
  });
}

function contentOf(it: NodeImport, message: JsonObject): string {
  const { data, references, findings } = it;
  if (textAt(message, "edition_type") !== "jinja2") return references.text(textAt(message, "text"));
  const template = textAt(message, "jinja2_text") || textAt(message, "text");
  try {
    const text = jinjaText(it, template, objectsAt(objectAt(data, "prompt_config"), "jinja2_variables"));
    findings.keep("Jinja2 prompt");
    return text;
  } catch (error) {
    if (!(error instanceof UnsupportedJinja)) throw error;
    findings.lose(
      "Jinja2 prompt",
      `it uses what expressions cannot say (${error.message}), so the model gets it as it stands`,
      "Write the message with expressions.",
    );
    return plainText(template);
  }
}

function schemaOf(data: JsonObject): Json | undefined {
  if (!flagAt(data, "structured_output_enabled") && !flagAt(data, "structured_output_switch_on")) return undefined;
  const schema = own(objectAt(data, "structured_output"), "schema");
  return isObject(schema) ? literal(schema) : undefined;
}

interface Option {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  readonly isWhole?: true;
}

const maxTokens: Option = { name: "maxTokens", least: 1, most: 1_000_000, isWhole: true };
const sampling: ReadonlyMap<string, Option> = new Map([
  ["temperature", { name: "temperature", least: 0, most: 2 }],
  ["top_p", { name: "topP", least: 0, most: 1 }],
  ["max_tokens", maxTokens],
  ["max_completion_tokens", maxTokens],
  ["presence_penalty", { name: "presencePenalty", least: -2, most: 2 }],
  ["frequency_penalty", { name: "frequencyPenalty", least: -2, most: 2 }],
  ["seed", { name: "seed", least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER, isWhole: true }],
]);
const maxStops = 16;

function samplingOf(params: JsonObject, { findings }: NodeImport): JsonObject {
  const options: Record<string, Json> = {};
  for (const [key, value] of Object.entries(params)) {
    const option = sampling.get(key);
    const number = numberAt(params, key);
    const stops = key === "stop" && Array.isArray(value) ? value.filter((each) => typeof each === "string" && each !== "") : [];
    if (option !== undefined && number !== undefined && fits(option, number)) options[option.name] = number;
    else if (option !== undefined && number !== undefined)
      findings.lose(
        `parameter ${key}`,
        `${number} is out of bounds`,
        `Give ${option.name} from ${option.least} to ${option.most}.`,
      );
    else if (stops.length > 0 && stops.length <= maxStops) options["stop"] = literal(stops);
    else if (!isBlank(value))
      findings.lose(`parameter ${key}`, "llm nodes have no such option", "Leave it to the model, or to the connection.");
  }
  if (Object.keys(options).length > 0) findings.keep(...Object.keys(options));
  return options;
}

function fits({ least, most, isWhole }: Option, value: number): boolean {
  return value >= least && value <= most && (isWhole !== true || Number.isInteger(value));
}

function reportRest({ data, findings }: NodeImport): void {
  const vision = objectAt(data, "vision");
  if (flagAt(vision, "enabled")) {
    const selector = selectorAt(objectAt(vision, "configs"), "variable_selector").join(".");
    findings.lose(
      `vision (${selector || "images"})`,
      "llm nodes send text only",
      "Describe the images in another way, or use a worker node.",
    );
  }
  if (flagAt(objectAt(data, "context"), "enabled")) findings.keep("context");
  if (!isBlank(own(data, "memory")))
    findings.lose("memory", "a workflow has no conversation", "Pass earlier messages in as input.");
  if (textAt(data, "reasoning_format") === "separated")
    findings.change(
      "reasoning",
      "the reasoning is not taken out of the text",
      "Take it out with a transform, if the model writes it.",
    );
  const hasImages = objectsAt(data, "prompt_template").some((message) => Array.isArray(own(message, "text")));
  if (hasImages) findings.lose("parts of messages", "a message is one text", "Write it as text.");
}
