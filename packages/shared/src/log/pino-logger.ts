import { type DestinationStream, type Logger as Pino, pino, stdTimeFunctions } from "pino";
import type { LogFields, Logger } from "./logger.ts";
import { redactFields, redactText } from "./redact.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** JSON lines on stdout (or `to`), with the service's name, without secrets. A level that is none of `LogLevel` counts as `info`. */
export function pinoLogger(level: string, service: string, to?: DestinationStream): Logger {
  const options = {
    level: isLevel(level) ? level : "info",
    base: { service },
    timestamp: stdTimeFunctions.isoTime,
    // Errors are already plain and clean when they come here.
    serializers: { err: (value: unknown) => value },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(to ? pino(options, to) : pino(options));
}

function wrap(log: Pino): Logger {
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (fields: LogFields, message: string): void => {
      if (log.isLevelEnabled(level)) log[level](redactFields(fields), redactText(message));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => wrap(log.child(redactFields(fields))),
  };
}

function isLevel(level: string): level is LogLevel {
  return ["debug", "info", "warn", "error", "silent"].includes(level);
}
