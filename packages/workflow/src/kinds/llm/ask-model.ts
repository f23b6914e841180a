import type { Json } from "@longhaul/core";
import type { ChatCompletion, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";
import type { JsonSchema } from "../../definition/schema-type.ts";
import type { Connection } from "../connection.ts";
import type { NodeContext } from "../kind.ts";
import type { AnswerReading } from "./answer-reading.ts";
import { guardedFetch } from "./guarded-fetch.ts";
import { clean, llmFailure, refused, refusedLate, unreachable } from "./llm-failure.ts";
import type { LlmRequest } from "./read-request.ts";
import { isStrict } from "./strict-schema.ts";

/** The client library. It is large, and most processes never need it, so that it is loaded with the first call. */
export function modelLibrary(): Promise<typeof import("openai")> {
  return import("openai");
}

/**
 * Asks the model and reads its answer, which ends within `timeoutMs`, as it comes. Rejects with NodeFailure `llm_...`, or with the signal's reason
 * when aborted; what had come by then stays in `reading`.
 */
export async function askModel(
  context: Pick<NodeContext, "outbound" | "signal" | "operationKey" | "now">,
  connection: Connection,
  request: LlmRequest,
  { reading, timeoutMs }: { readonly reading: AnswerReading; readonly timeoutMs: number },
): Promise<void> {
  const { signal } = context;
  const guarded = guardedFetch(context.outbound, connection, {
    timeoutMs,
    signal,
    operationKey: context.operationKey,
  });
  try {
    const { OpenAI } = await modelLibrary();
    const client = new OpenAI({
      baseURL: connection.baseUrl,
      // The key is set below the library, so that neither its errors nor its log can hold it. The environment has no say in anything.
      apiKey: "set-by-fetch",
      adminAPIKey: null,
      organization: null,
      project: null,
      webhookSecret: null,
      logLevel: "off",
      maxRetries: 0,
      timeout: timeoutMs + 60_000,
      fetch: guarded.fetch,
    });
    const { data, response } = await client.chat.completions.create(paramsOf(request, connection)).withResponse();
    const type = response.headers.get("content-type")?.toLowerCase() ?? "";
    // Servers that cannot stream answer in one piece; `whole` looks at every part of it.
    if (/^application\/([\w.+-]+\+)?json\b/.test(type)) reading.whole((await response.json()) as ChatCompletion | null);
    else if (type === "" || type.startsWith("text/event-stream")) for await (const chunk of data) reading.chunk(chunk);
    else {
      await response.body?.cancel();
      throw llmFailure(
        "llm_bad_answer",
        `the model server answered with ${clean(type, connection)} instead of an event stream; look at the connection's baseUrl`,
        { retryable: false, sent: "yes" },
      );
    }
    signal.throwIfAborted();
    reading.end();
  } catch (error) {
    signal.throwIfAborted();
    const refusal = guarded.refusal();
    if (refusal !== undefined) throw refused(refusal, connection, context.now());
    const fault = guarded.fault();
    if (fault !== undefined) throw unreachable(fault, reading.hasBegun);
    if (error instanceof SyntaxError)
      throw llmFailure("llm_bad_answer", "the model server sent something that is not JSON", { retryable: true, sent: "yes" });
    const late = lateError(error);
    throw late === undefined ? error : refusedLate(late, connection);
  }
}

/** The error that a server sent as an event, in the form that the library throws it. */
function lateError(error: unknown): Json | undefined {
  if (!(error instanceof Error) || error.constructor.name !== "APIError" || !("error" in error)) return undefined;
  // Out of JSON.parse.
  return error.error as Json;
}

function paramsOf(request: LlmRequest, { baseUrl }: Connection): ChatCompletionCreateParamsStreaming {
  const { model, messages, schema, temperature, topP, presencePenalty, frequencyPenalty, maxTokens, stop, seed } = request;
  // The one server whose newer models refuse the name that every other server knows.
  const isOpenAi = new URL(baseUrl).hostname.endsWith(".openai.com");
  return {
    model,
    // Checked by `readRequest`; the library's type ties the parts allowed to the role, which servers judge themselves.
    messages: messages as unknown as ChatCompletionCreateParamsStreaming["messages"],
    stream: true,
    stream_options: { include_usage: true },
    ...(schema === undefined ? {} : { response_format: formatOf(schema) }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(presencePenalty === undefined ? {} : { presence_penalty: presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequency_penalty: frequencyPenalty }),
    ...(maxTokens === undefined ? {} : isOpenAi ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens }),
    ...(stop === undefined ? {} : { stop: [...stop] }),
    ...(seed === undefined ? {} : { seed }),
  };
}

function formatOf(schema: JsonSchema): NonNullable<ChatCompletionCreateParamsStreaming["response_format"]> {
  return { type: "json_schema", json_schema: { name: "answer", schema: { ...schema }, strict: isStrict(schema) } };
}
