/** Something that takes tasks over HTTP, running. */
export interface Target {
  readonly url: string;
  /** Its processes; `isOurs` is false for database and broker, which are not counted into sums. */
  readonly processes: readonly { readonly name: string; readonly pid: number; readonly isOurs: boolean }[];
  /** Lines of its log at level warn or worse, so far. */
  warnings?(): readonly string[];
  stop(): Promise<void>;
}

/** Starts a target; `profileDir` makes its processes write CPU profiles when they end. */
export type StartTarget = (profileDir: string | undefined) => Promise<Target>;
