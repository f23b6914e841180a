import { CliError, exits, usageError } from "../cli-error.ts";
import type { World } from "../world.ts";
import { type Json, parseJson } from "./json.ts";
import { isProblem, problemText } from "./problem-text.ts";

export interface Sent {
  /** Sent as JSON. */
  readonly body?: Json;
  /** Sent as it is. */
  readonly raw?: { readonly text: string; readonly type: string };
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether sending it twice does the same as once, so that it is sent again when the answer was not seen. Default: all but POST. */
  readonly isRepeatable?: boolean;
  /** How often it is sent at most; default 3. */
  readonly tries?: number;
}

export type Method = "GET" | "PUT" | "POST" | "DELETE";

/** The gateway. Every call throws a CliError that says what to tell the caller. */
export interface Api {
  readonly url: string;
  /** Sends a request and answers the JSON of a 2xx; null for an empty one. */
  call(method: Method, path: string, sent?: Sent): Promise<Json>;
  /** Opens a stream of events; undefined where there is nothing to tell any more (204). */
  stream(path: string, headers: Readonly<Record<string, string>>): Promise<ReadableStream<Uint8Array> | undefined>;
}

/** Longer than any wait that the server allows. */
const callTimeoutMs = 90_000;
const longestPauseMs = 10_000;

export interface ApiOptions {
  /** Base URL, http or https. */
  readonly url: string;
  /** API key; never shown. */
  readonly key: string | undefined;
}

/** Throws a usage error when the URL is none. */
export function connect(world: World, { url, key }: ApiOptions): Api {
  const base = baseOf(url);
  const auth: Readonly<Record<string, string>> = key === undefined || key === "" ? {} : { authorization: `Bearer ${keyOf(key)}` };

  async function send(path: string, init: RequestInit): Promise<Response> {
    try {
      // Not followed elsewhere: keys and secrets go to the server that was named, and to no other.
      return await world.fetch(`${base}${path}`, { ...init, redirect: "manual" });
    } catch (error) {
      throw unreachable(world, base, error);
    }
  }

  async function once(method: Method, path: string, { body, raw, headers }: Sent): Promise<Json> {
    const content = raw ?? (body === undefined ? undefined : { text: JSON.stringify(body), type: "application/json" });
    const response = await send(path, {
      method,
      headers: { accept: "application/json", ...(content && { "content-type": content.type }), ...auth, ...headers },
      ...(content && { body: content.text }),
      signal: AbortSignal.any([world.quit, AbortSignal.timeout(callTimeoutMs)]),
    });
    let text: string;
    try {
      text = await response.text();
    } catch (error) {
      throw unreachable(world, base, error);
    }
    if (!response.ok) throw refusal(base, response, text);
    if (text === "") return null;
    const answer = jsonOf(text);
    if (answer === undefined) throw foreign(base, response);
    return answer;
  }

  return {
    url: base,
    async call(method, path, sent = {}) {
      const { isRepeatable = method !== "POST", tries = 3 } = sent;
      for (let tried = 1; ; tried++) {
        try {
          return await once(method, path, sent);
        } catch (error) {
          if (!(error instanceof Unreachable) || !isRepeatable || tried >= tries || error.isRefused) throw error;
          await world.pause(Math.min(longestPauseMs, error.retryAfterMs ?? 250 * 2 ** tried));
        }
      }
    },
    async stream(path, headers) {
      const response = await send(path, { headers: { accept: "text/event-stream", ...auth, ...headers }, signal: world.quit });
      if (response.status === 204) return undefined;
      if (!response.ok) throw refusal(base, response, await response.text().catch(() => ""));
      if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) throw foreign(base, response);
      return response.body;
    },
  };
}

/** Nobody answered, or the server can't at the moment: the same request may work later. */
export class Unreachable extends CliError {
  readonly retryAfterMs: number | undefined;
  /** True when nobody listens there: trying again at once is of no use. */
  readonly isRefused: boolean;

  constructor(message: string, more: { readonly cause?: unknown; readonly retryAfterMs?: number; readonly isRefused?: boolean }) {
    super(exits.unreachable, message, { cause: more.cause });
    this.retryAfterMs = more.retryAfterMs;
    this.isRefused = more.isRefused ?? false;
  }
}

function baseOf(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Said below; the text may hold a password and is not repeated.
  }
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw usageError("LONGHAUL_URL (or --url) must be an address such as http://127.0.0.1:8080");
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw usageError("LONGHAUL_URL (or --url) must have no user, query and fragment; the API key goes into LONGHAUL_API_KEY");
  }
  return url.href.replace(/\/+$/, "");
}

function keyOf(key: string): string {
  if (!/^[\x21-\x7e]+$/.test(key))
    throw usageError("LONGHAUL_API_KEY holds spaces, line breaks or other characters that no key has");
  return key;
}

function unreachable(world: World, base: string, error: unknown): CliError {
  if (world.quit.aborted) return new CliError(exits.interrupted, "interrupted", { cause: error });
  const why = reasonOf(error);
  const isRefused = /^(ECONNREFUSED|ENOTFOUND)$/.test(why);
  const message = `nothing answers at ${base} (${why}); is it running (\`npm start\`), and is LONGHAUL_URL right?`;
  return new Unreachable(message, { cause: error, isRefused });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown reason";
  const { cause } = error;
  if (typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string") return cause.code;
  return error.name === "TimeoutError" ? "no answer in time" : cause instanceof Error ? cause.message : error.message;
}

function refusal(base: string, response: Response, text: string): CliError {
  const { status } = response;
  const problem = jsonOf(text);
  if (!isProblem(problem)) return status === 502 || status === 504 ? later(base, response, "") : foreign(base, response);
  const said = problemText(problem, status);
  if (status === 503) return later(base, response, said);
  const hint = status === 401 ? "\n  Set LONGHAUL_API_KEY to a key of this server." : "";
  return new CliError(exits.negative, `${said}${hint}`);
}

function later(base: string, response: Response, said: string): Unreachable {
  const seconds = Number(response.headers.get("retry-after"));
  const message = said === "" ? `${base} answers ${response.status}: what is behind it does not answer` : said;
  return new Unreachable(message, Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {});
}

function foreign(base: string, { status }: Response): CliError {
  return new CliError(
    exits.negative,
    `${base} answers ${status} with something that is not Longhaul's API; is LONGHAUL_URL right?`,
  );
}

function jsonOf(text: string): Json | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
