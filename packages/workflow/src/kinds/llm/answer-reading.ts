import type { Usage } from "@longhaul/core";
import type { ChatCompletion, ChatCompletionChunk } from "openai/resources/chat/completions";
import { llmFailure } from "./llm-failure.ts";

/** Texts beyond this are not kept: the output of a node has a bound of its own, well below. */
const maxTextLength = 32 * 1024 * 1024;

/** An answer while it comes. What servers send is not always what the types say, so that every part is looked at. */
export class AnswerReading {
  /** True once anything of an answer has come. */
  hasBegun = false;
  /** Why it ended: `stop`, `length`, or what the server calls it; undefined until it has. */
  finishReason: string | undefined;
  private readonly texts: string[] = [];
  private length = 0;
  private refusal = "";
  private counted: Usage | undefined;
  private firstMs: number | undefined;
  private readonly onText: (delta: string) => void;
  private readonly elapsedMs: () => number;

  /** `onText` is told of each piece as it comes; `elapsedMs` is the time since the call was made. */
  constructor(onText: (delta: string) => void, elapsedMs: () => number) {
    this.onText = onText;
    this.elapsedMs = elapsedMs;
  }

  chunk(chunk: ChatCompletionChunk | null): void {
    this.hasBegun = true;
    if (chunk === null || typeof chunk !== "object") throw noAnswer();
    this.count(chunk.usage);
    // The last chunk has the usage and no choice.
    const choice = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    if (choice === undefined) return;
    this.take(choice.delta?.content, choice.delta?.refusal);
    if (typeof choice.finish_reason === "string") this.finishReason = choice.finish_reason;
  }

  whole(answer: ChatCompletion | null): void {
    this.hasBegun = true;
    const choice = answer !== null && Array.isArray(answer.choices) ? answer.choices[0] : undefined;
    const message = choice?.message;
    if (answer === null || choice === undefined || message === undefined || message === null) throw noAnswer();
    this.take(message.content, message.refusal);
    this.firstMs = undefined;
    this.count(answer.usage);
    this.finishReason = typeof choice.finish_reason === "string" ? choice.finish_reason : "stop";
  }

  /** All has come. Throws NodeFailure where that is no whole answer. */
  end(): void {
    const { finishReason, refusal } = this;
    if (finishReason === undefined) {
      if (!this.hasBegun) throw noAnswer();
      throw llmFailure("llm_cut_short", "the answer ended before the model had finished", { retryable: true, sent: "unknown" });
    }
    if (refusal === "" && finishReason !== "content_filter") return;
    const said = refusal === "" ? "" : `: ${refusal.slice(0, 500)}`;
    throw llmFailure("llm_refused", `the model refused to answer${said}`, {
      retryable: false,
      sent: "yes",
      details: { finishReason },
    });
  }

  get text(): string {
    return this.texts.join("");
  }

  /** As the server counted; undefined where it did not say. */
  get usage(): Usage | undefined {
    return this.counted;
  }

  /** Milliseconds to the first piece of the answer; undefined where it came in one, or not at all. */
  get firstTokenMs(): number | undefined {
    return this.firstMs;
  }

  private take(content: unknown, refusal: unknown): void {
    if (typeof refusal === "string") this.refusal += refusal.slice(0, 1000 - this.refusal.length);
    if (typeof content !== "string" || content === "") return;
    this.firstMs ??= Math.max(0, Math.round(this.elapsedMs()));
    this.length += content.length;
    if (this.length > maxTextLength)
      throw llmFailure("llm_bad_answer", "the answer is too long", { retryable: false, sent: "yes" });
    this.texts.push(content);
    this.onText(content);
  }

  private count(usage: ChatCompletionChunk["usage"]): void {
    if (usage === undefined || usage === null) return;
    const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = usage;
    if (!isCount(input) || !isCount(output)) return;
    this.counted = { inputTokens: input, outputTokens: output, totalTokens: isCount(total) ? total : input + output };
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function noAnswer(): Error {
  return llmFailure("llm_bad_answer", "what the model server sent is no chat completion", { retryable: false, sent: "yes" });
}
