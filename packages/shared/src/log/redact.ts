const secretKeys = new Set([
  "authorization",
  "proxyauthorization",
  "cookie",
  "setcookie",
  "secret",
  "secrets",
  "secretkey",
  "webhooksecret",
  "password",
  "token",
  "internaltoken",
  "longhaulinternaltoken",
  "apikey",
  "apikeys",
  "xapikey",
]);

const gone = "[redacted]";
const maxDepth = 6;

/** What stands in for a secret in any text: API keys, webhook secrets, bearer tokens and credentials in URLs. */
export function redactText(text: string): string {
  if (!/lh_|whsec_|bearer|basic|@/i.test(text)) return text;
  return text
    .replace(/\b(lh_|whsec_)[A-Za-z0-9+/=_-]+/g, `$1${gone}`)
    .replace(/\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]+/gi, `$1 ${gone}`)
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^/\s@]+@/gi, `$1${gone}@`);
}

/** A copy of log fields without secrets; what holds none is passed on as it is. Errors keep name, message, code, stack and cause. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    out[key] = isSecretKey(key) && value !== undefined && value !== null && value !== "" ? gone : redactValue(value, 1);
  }
  return out;
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth > maxDepth) return "[too deep]";
  if (value instanceof Error) return redactError(value, depth);
  if (value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map((one) => redactValue(one, depth + 1));
  const out: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    out[key] = isSecretKey(key) && inner ? gone : redactValue(inner, depth + 1);
  }
  return out;
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const { cause } = error;
  const code: unknown = "code" in error ? error.code : undefined;
  return {
    type: error.name,
    message: redactText(error.message),
    ...(code === undefined ? {} : { code }),
    ...(error.stack === undefined ? {} : { stack: redactText(error.stack) }),
    ...(cause === undefined ? {} : { cause: redactValue(cause, depth + 1) }),
  };
}

function isSecretKey(key: string): boolean {
  return secretKeys.has(key.toLowerCase().replaceAll(/[-_]/g, ""));
}
