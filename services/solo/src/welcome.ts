import type { ApiKeySetting } from "@longhaul/shared";
import { baseUrl } from "./base-url.ts";

/** What a newcomer sees first: where it listens, and two lines that work as they stand. */
export function welcome(address: { readonly host: string; readonly port: number }, apiKeys: readonly ApiKeySetting[]): string {
  const base = baseUrl(address);
  // Keys are secrets: say where one goes, not what it is.
  const auth = apiKeys.length === 0 ? "" : ' -H "authorization: Bearer $LONGHAUL_KEY"';
  const put = `curl -X PUT ${base}/v1/workflows/hello${auth} -H 'content-type: application/yaml' --data-binary $'name: hello\\nnodes:\\n  - id: greet\\n    kind: transform\\n    with: { text: "Hello, \${ input.name }!" }\\n'`;
  const submit = `curl ${base}/v1/tasks${auth} -H 'content-type: application/json' -H 'prefer: wait=10' -d '{"workflow":"hello","input":{"name":"world"}}'`;
  return [
    "",
    `Longhaul listens on ${base} (HTTP, gRPC, gRPC-Web and Connect). Try it from another terminal:`,
    "",
    `  ${put}`,
    `  ${submit}`,
    "",
    `API: ${base}/openapi.json   Stop with Ctrl-C; tasks are kept.`,
    "",
  ].join("\n");
}
