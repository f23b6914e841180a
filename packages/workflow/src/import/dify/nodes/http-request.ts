import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../../expression/cel-value.ts";
import { isSecretName } from "../../../kinds/http/secret-names.ts";
import { durationText } from "../duration-text.ts";
import { numberAt, objectAt, own, textAt } from "../loose-fields.ts";
import { wrapped } from "../template-text.ts";
import { added, isDynamicName, linesOf } from "./form-lines.ts";
import { requestBody } from "./http-body.ts";
import type { NodeImport, NodeImporter } from "./node-import.ts";

const allStatuses = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const mostRedirects = 10;

/** Set by the connection itself; a definition that gives them is refused. */
const byConnection: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** http-request: an http node that reads the body as text and follows redirects, as Dify does. */
export const httpRequest: NodeImporter = {
  keys: ["method", "url", "authorization", "headers", "params", "body", "timeout", "ssl_verify", "variables"],
  run(it) {
    const { data, references, findings } = it;
    const method = textAt(data, "method", "get").toUpperCase();
    const body = requestBody(it);
    const headers = { ...body.headers, ...headersOf(it) };
    const query = queryOf(it);
    const auth = authOf(it, headers);
    findings.keep("method", "url");
    if (own(data, "ssl_verify") === false)
      findings.lose(
        "ssl_verify: false",
        "certificates are always checked",
        "Give the service a certificate that can be checked.",
      );
    const timeout = timeoutOf(it);
    return {
      kind: "http",
      with: {
        method,
        url: references.text(textAt(data, "url").trim()),
        ...(Object.keys(query).length === 0 ? {} : { query }),
        ...(Object.keys(headers).length === 0 ? {} : { headers }),
        ...(auth === undefined ? {} : { auth }),
        ...body.fields,
        acceptStatus: statusesOf(it),
        parse: "text",
        followRedirects: mostRedirects,
      },
      ...(timeout === undefined ? {} : { timeout }),
    };
  },
};

/** Without retries and an error strategy every status is an answer in Dify; with them only 2xx is. */
function statusesOf({ data, findings }: NodeImport): readonly Json[] {
  const retries = own(objectAt(data, "retry_config"), "retry_enabled") === true;
  const strategy = textAt(data, "error_strategy", "none");
  if (!retries && (strategy === "none" || strategy === "")) return allStatuses;
  if (retries)
    findings.change(
      "retries",
      "only network errors, 408, 429 and 5xx are tried again",
      "List others in retryStatus, if they may pass.",
    );
  return ["2xx"];
}

function headersOf(it: NodeImport): Record<string, Json> {
  const { data, references, findings, names, id } = it;
  const headers: Record<string, Json> = {};
  for (const [name, value] of linesOf(textAt(data, "headers"))) {
    const lower = name.toLowerCase();
    if (isDynamicName(name, "header", it)) continue;
    if (byConnection.has(lower)) findings.change(`header ${lower}`, "the connection sets it", "Nothing; it is left out.");
    else if (isSecretName(lower) && value !== "" && !value.includes("{{#")) {
      const secret = names.useSecret(`${id}_${lower}`);
      headers[lower] = wrapped(`secrets.${secret}`);
      findings.change(
        `header ${lower}`,
        "its value looks like a credential and is not in the definition",
        `Set the secret ${secret} to the header's value.`,
      );
    } else setOwn(headers, lower, references.text(value));
  }
  if (Object.keys(headers).length > 0) findings.keep("headers");
  return headers;
}

function queryOf(it: NodeImport): Record<string, Json> {
  const query: Record<string, Json> = {};
  for (const [name, value] of linesOf(textAt(it.data, "params"))) {
    if (isDynamicName(name, "parameter", it)) continue;
    setOwn(query, name, added(own(query, name), it.references.text(value)));
  }
  if (Object.keys(query).length > 0) it.findings.keep("params");
  return query;
}

function authOf(it: NodeImport, headers: Record<string, Json>): JsonObject | undefined {
  const { data, findings } = it;
  const authorization = objectAt(data, "authorization");
  if (textAt(authorization, "type", "no-auth") !== "api-key") return undefined;
  const config = objectAt(authorization, "config");
  const header = (textAt(config, "header") || "Authorization").toLowerCase();
  const key = textAt(config, "api_key");
  if (key === "") {
    findings.lose("authorization", "it has no key", "Give auth a secret, or remove it.");
    return undefined;
  }
  findings.keep("authorization");
  // Dify's own setting wins over a header line of the same name.
  delete headers[header];
  const form = textAt(config, "type", "bearer");
  if (form === "basic") return basicAuth(it, header, key);
  const value = keyText(it, key, "the key");
  if (form === "bearer" && header === "authorization") return { bearer: value };
  return { header: { name: header, value: form === "bearer" ? `Bearer ${value}` : value } };
}

function basicAuth(it: NodeImport, header: string, key: string): JsonObject {
  const colon = key.indexOf(":");
  const isLiteral = !key.includes("{{#");
  if (isLiteral && colon > 0 && header === "authorization")
    return {
      basic: { username: it.references.text(key.slice(0, colon)), password: keyText(it, key.slice(colon + 1), "the password") },
    };
  it.findings.change(
    "basic authorization",
    "the header takes the credentials as they are",
    "Keep user:password in base64 in the secret.",
  );
  return { header: { name: header, value: `Basic ${keyText(it, key, "user:password in base64")}` } };
}

/** The text of a key; one that stands in the app goes to a secret, so that the definition does not hold it. */
function keyText({ references, findings, names, id }: NodeImport, key: string, what: string): string {
  if (key.includes("{{#")) return references.text(key);
  const secret = names.useSecret(`${id}_api_key`);
  findings.change("authorization", "the key is not in the definition", `Set the secret ${secret} to ${what}.`);
  return wrapped(`secrets.${secret}`);
}

function timeoutOf({ data, findings }: NodeImport): string | undefined {
  const timeout = objectAt(data, "timeout");
  const seconds = ["connect", "read", "write"].reduce((sum, key) => sum + Math.max(0, numberAt(timeout, key) ?? 0), 0);
  if (seconds === 0) return undefined;
  findings.change(
    "timeout",
    "one time is given for the whole try: the sum of connect, read and write",
    "Shorten it, if that is too long.",
  );
  return durationText(seconds * 1000);
}
