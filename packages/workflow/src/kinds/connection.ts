/** A named model server of the project, ready to be used. Never recorded, never shown. */
export interface Connection {
  readonly name: string;
  readonly kind: "openai";
  /** http or https, without a slash at its end, such as `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** Absent where the server wants none. */
  readonly apiKey?: string;
  /** The model for calls that name none. */
  readonly defaultModel?: string;
  /** The only models that may be used; empty for any. */
  readonly allowedModels: readonly string[];
  /** Calls side by side over all executors; 0 for no bound. */
  readonly concurrency: number;
  /** Calls begun per minute over all executors; 0 for no bound. */
  readonly requestsPerMinute: number;
  /** Tokens, in and out, per minute over all executors; 0 for no bound. */
  readonly tokensPerMinute: number;
  /** Sent with every call. */
  readonly headers: Readonly<Record<string, string>>;
  /** Longest time of one call, in milliseconds. */
  readonly timeoutMs: number;
}
