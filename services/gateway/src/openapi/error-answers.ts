import { type ErrorCode, errorCodes, type Json } from "@longhaul/core";
import { httpStatuses } from "@longhaul/shared";
import { problemTitles } from "../http/problem.ts";

type JsonObject = { readonly [key: string]: Json };

/** Codes that any method may answer. */
const always: readonly ErrorCode[] = [
  "invalid_argument",
  "unauthenticated",
  "permission_denied",
  "rate_limited",
  "internal",
  "unavailable",
];
const withBody: readonly ErrorCode[] = ["too_large", "unsupported_media_type"];
/** What a gRPC code in a comment stands for, where no code of the API is named beside it. */
const byGrpcCode: Readonly<Record<string, ErrorCode>> = {
  INVALID_ARGUMENT: "invalid_argument",
  NOT_FOUND: "not_found",
  UNAVAILABLE: "unavailable",
  ABORTED: "conflict",
};

/** The problem answers of a method by status, from the errors that its comment names. */
export function errorAnswers(comment: string, hasBody: boolean): JsonObject {
  const text = /\bErrors: (.*)$/s.exec(comment)?.[1] ?? "";
  const named = errorCodes.filter((code) => text.includes(`\`${code}\``));
  const bare = Object.entries(byGrpcCode).flatMap(([grpc, code]) =>
    new RegExp(`\\b${grpc}\\b(?! \`)`).test(text) ? [code] : [],
  );
  const codes = [...new Set([...always, ...(hasBody ? withBody : []), ...named, ...bare])];
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) byStatus.set(httpStatuses[code], [...(byStatus.get(httpStatuses[code]) ?? []), code]);
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, of]) => [
        String(status),
        {
          description: of.map((code) => `\`${code}\`: ${problemTitles[code]}`).join("; "),
          ...headersOf(status),
          content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
        },
      ]),
  );
}

function headersOf(status: number): JsonObject {
  if (status === 429 || status === 503) return { headers: { "Retry-After": { $ref: "#/components/headers/RetryAfter" } } };
  if (status === 401) return { headers: { "WWW-Authenticate": { schema: { type: "string" } } } };
  return {};
}

export const problemSchema: JsonObject = {
  type: "object",
  description: "RFC 9457. `code` is stable; `errors` says exactly what is wrong and where.",
  required: ["type", "title", "status", "detail", "code"],
  properties: {
    type: { type: "string", format: "uri", description: "`urn:longhaul:error:` and the code." },
    title: { type: "string", description: "The same for every occurrence of the code." },
    status: { type: "integer" },
    detail: { type: "string", description: "What went wrong this time, in a sentence." },
    code: { type: "string", enum: [...errorCodes] },
    instance: { type: "string", description: "Path of the request." },
    errors: {
      type: "array",
      items: {
        type: "object",
        required: ["pointer", "detail"],
        properties: {
          pointer: { type: "string", description: "JSON pointer into the body (RFC 6901)." },
          detail: { type: "string" },
          node: { type: "string", description: "Id of the node concerned, in faults of a definition." },
          mend: { type: "string", description: "What to do about it." },
        },
      },
    },
  },
};
