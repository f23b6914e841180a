/** What a bare server that is measured can be asked. */
export type ServerCalls = {
  /** Starts it; answers where it listens. `env` holds what it needs to know, such as the address of its database. */
  readonly start: { readonly ask: Readonly<Record<string, string>>; readonly answer: { readonly url: string } };
};

/** A bare loop of writes or messages, without any server of our own. */
export interface LoopAsk {
  /** Tasks, or messages. */
  readonly count: number;
  /** Node rows per task. */
  readonly nodes: number;
  readonly batch: number;
  readonly env: Readonly<Record<string, string>>;
}

export type LoopCalls = {
  readonly run: { readonly ask: LoopAsk; readonly answer: { readonly perSecond: number; readonly cpuMs: number } };
};
