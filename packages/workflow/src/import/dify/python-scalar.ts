import type { Json } from "@longhaul/core";

const truths = /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const falsehoods = /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/;
const empty = /^(?:~|null|Null|NULL|)$/;
const decimal = /^[-+]?(?:0|[1-9][0-9_]*)$/;
const octal = /^[-+]?0[0-7_]+$/;
const hex = /^[-+]?0x[0-9a-fA-F_]+$/;
const float = /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)$/;

/**
 * A bare word of YAML as the library that writes Dify's files reads it. It follows YAML 1.1 in its own way: `yes` is true, while `e1` and
 * `1e3` are texts and stand there without quotes. Times and base-60 numbers stay texts.
 */
export function pythonScalar(source: string): Json {
  if (empty.test(source)) return null;
  if (truths.test(source)) return true;
  if (falsehoods.test(source)) return false;
  const digits = source.replaceAll("_", "");
  if (decimal.test(source) || float.test(source)) return finite(Number(digits), source);
  if (octal.test(source)) return finite(signed(digits, 8), source);
  return hex.test(source) ? finite(signed(digits, 16), source) : source;
}

/** Numbers beyond what a double holds stay texts: an id of twenty digits must not lose any. */
function finite(value: number, source: string): Json {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)) ? value : source;
}

function signed(digits: string, radix: 8 | 16): number {
  const sign = digits.startsWith("-") ? -1 : 1;
  return sign * Number.parseInt(digits.replace(/^[-+]?0x?/, ""), radix);
}
