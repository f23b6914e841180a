/** Where text goes. */
export interface Out {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Width of the terminal in columns. */
  readonly columns: number;
  readonly hasColours: boolean;
}

/** What the program may touch outside of itself. `main.ts` makes it from the process; tests make their own. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: Out;
  readonly err: Out;
  /** All of standard input, as UTF-8. */
  readStdin(): Promise<string>;
  /** One line of the terminal that is not shown while it is typed; undefined where standard input is no terminal. */
  readonly askHidden: ((prompt: string) => Promise<string>) | undefined;
  readFile(path: string): Promise<string>;
  readonly fetch: typeof fetch;
  /** Rejects when `quit` aborts. */
  pause(ms: number): Promise<void>;
  /** Milliseconds since 1970. */
  now(): number;
  /** Aborts on Ctrl-C. */
  readonly quit: AbortSignal;
}
