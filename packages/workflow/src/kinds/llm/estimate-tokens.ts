import type { LlmRequest } from "./read-request.ts";

const charactersPerToken = 4;
const tokensPerImage = 1000;
const tokensPerMessage = 4;
/** Of an answer whose length nobody bounds. */
const usualAnswerTokens = 1024;

/** Tokens of a text, roughly: no two models count alike. */
export function textTokens(characters: number): number {
  return Math.ceil(characters / charactersPerToken);
}

/** Tokens of what is sent, roughly. */
export function inputTokens({ messages, schema }: Pick<LlmRequest, "messages" | "schema">): number {
  let characters = schema === undefined ? 0 : JSON.stringify(schema).length;
  let tokens = messages.length * tokensPerMessage;
  for (const { content } of messages) {
    if (typeof content === "string") characters += content.length;
    else
      for (const part of content) {
        if (part.type === "text") characters += part.text.length;
        else tokens += tokensPerImage;
      }
  }
  return tokens + textTokens(characters);
}

/** Tokens that a call will take, in and out. */
export function callTokens(request: LlmRequest): number {
  return inputTokens(request) + (request.maxTokens ?? usualAnswerTokens);
}
