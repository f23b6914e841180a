/** Facts of a log line. An error goes under `err`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One line per thing that happened, facts in fields: `log.info({ taskId, attempt }, "task moved")`. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A logger whose every line carries `fields` as well. */
  child(fields: LogFields): Logger;
}

const nothing = (): void => {};

/** Says nothing; for tests. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLogger };
