type Fields = Readonly<Record<string, unknown>>;

/** Where the adapter says what happened to its connection and stream; the services' loggers fit. */
export interface NatsLog {
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
}

export const noLog: NatsLog = { info: () => {}, warn: () => {} };
