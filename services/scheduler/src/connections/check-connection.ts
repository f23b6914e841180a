import { durationMs } from "@bufbuild/protobuf/wkt";
import { type FieldFault, LonghaulError } from "@longhaul/core";
import type { Connection } from "@longhaul/proto/connection_service";
import type { SecretBox } from "@longhaul/shared";
import { maxConcurrency } from "../calls/call-record.ts";
import { namePattern } from "../schedules/check-schedule.ts";
import { secretName, secretNameRule } from "../secrets/secret-record.ts";
import type { ConnectionSpec } from "./connection-record.ts";

type Fault = (pointer: string, message: string) => void;

const maxUrl = 2_048;
const maxKey = 8_192;
const maxModels = 100;
const maxHeaders = 16;
const maxHeaderValue = 1_024;
const usualTimeoutMs = 600_000;
const longestTimeoutMs = 3_600_000;
const model = /^[!-~]{1,256}$/;
const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const headerValue = /^[\t\x20-\x7e]*$/;
/** Set by whoever calls, or a place for credentials, which headers are not. */
const ownHeaders: ReadonlySet<string> = new Set([
  "accept",
  "authorization",
  "connection",
  "content-length",
  "content-type",
  "cookie",
  "host",
  "idempotency-key",
  "proxy-authorization",
  "te",
  "transfer-encoding",
  "upgrade",
  "x-api-key",
]);

/** What somebody says about a connection, checked as a whole. Throws `invalid_argument` with every fault; says nothing of the key. */
export function checkConnection(connection: Connection, box: SecretBox): ConnectionSpec {
  const faults: FieldFault[] = [];
  const fault: Fault = (pointer, message) => void faults.push({ pointer, message });
  if (!namePattern.test(connection.name)) fault("/name", `A name is 1 to 128 of A-Z, a-z, 0-9, ".", "_" and "-".`);
  if (connection.kind !== "" && connection.kind !== "openai") fault("/kind", "The only kind is openai.");
  checkUrl(connection.baseUrl, fault);
  checkKey(connection, fault);
  checkModels(connection, fault);
  checkBounds(connection, fault);
  checkHeaders(connection.headers, fault);
  const timeoutMs = connection.timeout === undefined ? usualTimeoutMs : durationMs(connection.timeout);
  if (timeoutMs < 1_000 || timeoutMs > longestTimeoutMs) fault("/timeout", "Between 1s and 1h.");
  if (faults.length > 0)
    throw new LonghaulError("invalid_argument", faults[0]?.message ?? "The connection is not valid.", { faults });

  const { apiKey, secret } = connection;
  return {
    kind: "openai",
    baseUrl: connection.baseUrl.replace(/\/+$/, ""),
    ...(apiKey === "" ? {} : { sealedApiKey: box.seal(apiKey) }),
    ...(secret === "" ? {} : { secret }),
    defaultModel: connection.defaultModel,
    allowedModels: [...connection.allowedModels],
    concurrency: connection.concurrency,
    requestsPerMinute: connection.requestsPerMinute,
    tokensPerMinute: connection.tokensPerMinute,
    headers: { ...connection.headers },
    timeoutMs,
  };
}

function checkUrl(text: string, fault: Fault): void {
  const url = text.length <= maxUrl && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    fault("/baseUrl", "Give the server's http or https URL, such as https://api.openai.com/v1.");
  } else if (url.username !== "" || url.password !== "") {
    fault("/baseUrl", "A URL with a user or a password would be shown; use apiKey or secret.");
  } else if (url.search !== "" || url.hash !== "") fault("/baseUrl", "Leave out what follows the path: query and fragment.");
}

function checkKey({ apiKey, secret }: Connection, fault: Fault): void {
  if (apiKey !== "" && secret !== "") fault("/secret", "Give apiKey or secret, not both.");
  if (apiKey.length > maxKey || !headerValue.test(apiKey) || apiKey !== apiKey.trim())
    fault("/apiKey", `A key is at most ${maxKey} characters of printable ASCII, without spaces around it.`);
  if (secret !== "" && !secretName.test(secret)) fault("/secret", secretNameRule);
}

function checkModels({ defaultModel, allowedModels }: Connection, fault: Fault): void {
  const rule = "A model's name is 1 to 256 characters of printable ASCII without spaces.";
  if (defaultModel !== "" && !model.test(defaultModel)) fault("/defaultModel", rule);
  if (allowedModels.length > maxModels) fault("/allowedModels", `At most ${maxModels} models can be listed.`);
  for (const [at, each] of allowedModels.slice(0, maxModels).entries())
    if (!model.test(each)) fault(`/allowedModels/${at}`, rule);
  if (defaultModel !== "" && allowedModels.length > 0 && !allowedModels.includes(defaultModel))
    fault("/defaultModel", "It is not one of allowedModels; add it there.");
}

function checkBounds(connection: Connection, fault: Fault): void {
  for (const name of ["concurrency", "requestsPerMinute", "tokensPerMinute"] as const)
    if (connection[name] < 0) fault(`/${name}`, "1 or more, or 0 for no bound.");
  if (connection.concurrency > maxConcurrency) fault("/concurrency", `At most ${maxConcurrency}, or 0 for no bound.`);
}

function checkHeaders(headers: Connection["headers"], fault: Fault): void {
  const entries = Object.entries(headers);
  if (entries.length > maxHeaders) fault("/headers", `At most ${maxHeaders} headers can be given.`);
  for (const [name, value] of entries.slice(0, maxHeaders)) {
    const pointer = `/headers/${name.slice(0, 128).replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (!headerName.test(name)) fault(pointer, "This is no header name.");
    else if (ownHeaders.has(name.toLowerCase()))
      fault(pointer, "This header can't be set here; a key belongs into apiKey or secret.");
    if (value.length > maxHeaderValue || !headerValue.test(value))
      fault(pointer, `A value is at most ${maxHeaderValue} characters of printable ASCII.`);
  }
}
