import type { Json, Usage } from "@longhaul/core";
import { checkInputSchema } from "../../definition/input-schema.ts";
import { objectOf } from "../../expression/json-object.ts";
import { type KindProblem, type NodeContext, NodeFailure, type NodeKind } from "../kind.ts";
import { answerObject } from "./answer-object.ts";
import { AnswerReading } from "./answer-reading.ts";
import { askModel, modelLibrary } from "./ask-model.ts";
import { callPermit } from "./call-permit.ts";
import { callTokens, inputTokens, textTokens } from "./estimate-tokens.ts";
import { connectionName, type LlmRequest, readRequest } from "./read-request.ts";
import { llmSchema } from "./schema.ts";
import { shownInput } from "./shown-input.ts";

/** Left between the end of a call and the end of its place, for the way of the answer to here. */
const leaseMarginMs = 1000;

/** Asks a language model. */
export const llmKind: NodeKind = {
  name: "llm",
  description: "Asks a language model by an OpenAI-compatible connection; its output is { text, object, usage }.",
  schema: llmSchema,
  needsWith: true,
  effects: true,
  inline: false,
  defaultTimeoutMs: 600_000,
  defaultRetry: { attempts: 3, delayMs: 1000, factor: 2, maxMs: 30_000, jitter: 0.2 },
  supportsAsync: true,
  verbatim: ["schema"],
  check,
  redact: shownInput,
  run,
};

function check(input: Json): readonly KindProblem[] {
  const { schema } = objectOf(input);
  const wrong = schema === undefined ? [] : checkInputSchema(schema);
  return wrong.map((problem) => ({ ...problem, pointer: `/schema${problem.pointer}` }));
}

async function run(context: NodeContext): Promise<Json> {
  const { services, signal } = context;
  const startMs = performance.now();
  const connection = await services.connection(connectionName(context.input));
  const request = readRequest(context.input, connection);
  await modelLibrary();
  const permit = await callPermit(context, connection, callTokens(request));
  const callMs = performance.now();
  const reading = new AnswerReading(
    (text) => context.progress({ text }),
    () => performance.now() - callMs,
  );
  let isUnknown = false;
  try {
    const leftMs = Math.min(
      connection.timeoutMs,
      context.timeoutMs - (callMs - startMs),
      permit.leaseMs - leaseMarginMs - (callMs - permit.askedMs),
    );
    await askModel(context, connection, request, { reading, timeoutMs: Math.max(1, Math.floor(leftMs)) });
    return outputOf(context, request, reading);
  } catch (error) {
    isUnknown = signal.aborted || (error instanceof NodeFailure && error.sent === "unknown");
    throw error;
  } finally {
    const usage = usageOf(request, reading);
    if (usage !== undefined) context.spend(usage);
    // Of a call whose end nobody saw, what was estimated stays counted.
    permit.release(usage?.totalTokens ?? (isUnknown ? undefined : 0));
  }
}

function outputOf({ log }: NodeContext, request: LlmRequest, reading: AnswerReading): Json {
  const { text, finishReason = "stop", firstTokenMs } = reading;
  const { schema } = request;
  if (finishReason === "length") log("the answer was cut off at its most tokens");
  if (reading.usage === undefined) log("the model server did not say how many tokens the call took; they are estimated");
  const usage = usageOf(request, reading);
  return {
    text,
    ...(schema === undefined ? {} : { object: answerObject(text, schema, finishReason) }),
    usage: {
      ...(usage ?? {}),
      ...(firstTokenMs === undefined ? {} : { firstTokenMs }),
      ...(reading.usage === undefined ? { estimated: true } : {}),
    },
    finishReason,
  };
}

/** What the call took, estimated where the server did not say; undefined where nothing came of it. */
function usageOf(request: LlmRequest, reading: AnswerReading): Usage | undefined {
  const { usage, hasBegun, text, firstTokenMs } = reading;
  if (usage === undefined && !hasBegun) return undefined;
  const input = inputTokens(request);
  const output = textTokens(text.length);
  return {
    ...(usage ?? { inputTokens: input, outputTokens: output, totalTokens: input + output }),
    ...(firstTokenMs === undefined ? {} : { firstTokenMs }),
  };
}
