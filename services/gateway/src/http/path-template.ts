/** A path of `google.api.http`, such as `/v1/tasks/{id}:cancel`. */
export interface PathTemplate {
  /** As written in the `.proto` file, parameters by their names alone. */
  readonly text: string;
  /** Names of the request's fields that the path carries, in order. */
  readonly params: readonly string[];
  /** The same path for Fastify's router. */
  readonly route: string;
  /** Matches exactly the paths of this template. */
  readonly pattern: RegExp;
}

/**
 * Reads a path template. A parameter spans no `/` and no `:`, because what follows a colon is a custom verb; Fastify needs that
 * said, or `/v1/tasks/{id}` would take every verb. One written `{key=*}` spans its whole segment, colons and all: nothing beside it has verbs.
 */
export function pathTemplate(text: string): PathTemplate {
  const params: string[] = [];
  let route = "";
  let pattern = "";
  for (const piece of text.split(/(\{[a-z][a-z0-9_]*(?:=\*)?\})/)) {
    const param = /^\{([a-z][a-z0-9_]*)(?:=\*)?\}$/.exec(piece)?.[1];
    const span = piece.endsWith("=*}") ? "[^/]+" : "[^:/]+";
    if (param === undefined) {
      if (/[{}*]/.test(piece)) throw new Error(`path template ${text} uses what the transcoder does not know`);
      route += piece.replaceAll(":", "::");
      pattern += piece.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
    } else {
      params.push(param);
      route += `:${param}(${span})`;
      pattern += span;
    }
  }
  return { text: text.replaceAll("=*}", "}"), params, route, pattern: new RegExp(`^${pattern}$`) };
}
