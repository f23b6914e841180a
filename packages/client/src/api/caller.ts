import { ApiError } from "./api-error.ts";
import { type Json, objectOf } from "./json.ts";

/** Calls the HTTP API. */
export interface Caller {
  /**
   * Posts JSON and answers the body. Rejects with ApiError: for what the server refuses, for an answer that does not come within `timeoutMs`, and,
   * with the status 0, when the server can't be reached or `signal` aborts.
   */
  post(path: string, body: Json, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<unknown>;
}

export function caller({ url, apiKey }: { readonly url: string; readonly apiKey?: string | undefined }): Caller {
  const base = url.replace(/\/+$/, "");
  const headers = { "content-type": "application/json", ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }) };
  return {
    async post(path, body, { timeoutMs, signal }) {
      const end = new AbortController();
      const stop = (): void => end.abort();
      const timer = setTimeout(stop, timeoutMs);
      signal?.addEventListener("abort", stop, { once: true });
      if (signal?.aborted) stop();
      try {
        const response = await fetch(`${base}${path}`, {
          method: "POST",
          headers,
          body: JSON.stringify(body),
          signal: end.signal,
        });
        const text = await response.text();
        if (!response.ok) throw refusal(response, text);
        return text === "" ? {} : JSON.parse(text);
      } catch (why) {
        if (why instanceof ApiError) throw why;
        const reason = end.signal.aborted ? "the call was ended before an answer came" : "the server could not be reached";
        throw new ApiError(0, "unreachable", `${path}: ${reason}`, { cause: why });
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
      }
    },
  };
}

function refusal({ status, headers }: Response, text: string): ApiError {
  const { code, detail, title } = objectOf(parsed(text));
  const said = [detail, title].find((one) => typeof one === "string");
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return new ApiError(
    status,
    typeof code === "string" ? code : `http_${status}`,
    String(said ?? `the server answered ${status}`),
    {
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : undefined,
    },
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
