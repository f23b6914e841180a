import {
  type DescField,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { http } from "@longhaul/proto/google/api/annotations_pb";
import type { HttpRule } from "@longhaul/proto/google/api/http_pb";
import { type HttpDress, http_dress } from "@longhaul/proto/options";
import { type PathTemplate, pathTemplate } from "./path-template.ts";

export type HttpVerb = "GET" | "PUT" | "POST" | "DELETE" | "PATCH";

export type HttpMethod = DescMethodUnary | DescMethodServerStreaming;

/** One way to call a method over HTTP. */
export interface HttpRoute {
  readonly verb: HttpVerb;
  readonly path: PathTemplate;
  readonly service: DescService;
  readonly method: HttpMethod;
  /** What the body is: nothing, the whole request (without what the path carries), or one field of it. */
  readonly body: { readonly kind: "none" } | { readonly kind: "all" } | { readonly kind: "field"; readonly field: DescField };
  readonly dress: HttpDress;
  /** False for the additional bindings of a method. */
  readonly isPrimary: boolean;
}

/** Reads every HTTP route of the services from the options of their methods. Throws where these make no sense: a fault of the build. */
export function routeTable(services: readonly DescService[]): readonly HttpRoute[] {
  return services.flatMap((service) =>
    service.methods.flatMap((method) => {
      if (!hasOption(method, http)) return [];
      const rule = getOption(method, http);
      return [rule, ...rule.additionalBindings].map((one, at) => routeOf(service, method, one, at === 0));
    }),
  );
}

function routeOf(service: DescService, method: DescMethod, rule: HttpRule, isPrimary: boolean): HttpRoute {
  const name = `${service.typeName}.${method.name}`;
  if (!hasHttpForm(method)) throw new Error(`${name}: a stream of requests has no HTTP form`);
  const { verb, path } = patternOf(rule, name);
  for (const param of path.params) fieldOf(method, param);
  const dress = getOption(method, http_dress);
  if (dress.eventStream !== (method.methodKind === "server_streaming"))
    throw new Error(`${name}: event_stream is for streams, and only for them`);
  const body =
    rule.body === ""
      ? ({ kind: "none" } as const)
      : rule.body === "*"
        ? ({ kind: "all" } as const)
        : ({ kind: "field", field: fieldOf(method, rule.body) } as const);
  return { verb, path, service, method, body, dress, isPrimary };
}

function hasHttpForm(method: DescMethod): method is HttpMethod {
  return method.methodKind === "unary" || method.methodKind === "server_streaming";
}

function fieldOf(method: DescMethod, name: string): DescField {
  const field = method.input.fields.find((one) => one.name === name);
  if (!field) throw new Error(`${method.input.typeName} has no field ${name}`);
  return field;
}

function patternOf({ pattern }: HttpRule, name: string): { readonly verb: HttpVerb; readonly path: PathTemplate } {
  switch (pattern.case) {
    case "get":
      return { verb: "GET", path: pathTemplate(pattern.value) };
    case "put":
      return { verb: "PUT", path: pathTemplate(pattern.value) };
    case "post":
      return { verb: "POST", path: pathTemplate(pattern.value) };
    case "delete":
      return { verb: "DELETE", path: pathTemplate(pattern.value) };
    case "patch":
      return { verb: "PATCH", path: pathTemplate(pattern.value) };
    default:
      throw new Error(`${name}: the HTTP rule has no path`);
  }
}
