import type { CallOptions, HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";

/** Names the project that a call acts in; set by the gateway after it has checked the key. */
export const projectHeader = "longhaul-project";
/** Carries what services prove themselves to each other with. */
export const internalTokenHeader = "longhaul-internal-token";

/** The project that a call acts in. Throws `unauthenticated` when the caller named none. */
export function projectOf(context: Pick<HandlerContext, "requestHeader">): string {
  const project = context.requestHeader.get(projectHeader);
  if (project && /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(project)) return project;
  throw new LonghaulError(
    "unauthenticated",
    project ? "the project's name is malformed" : `the call names no project; metadata ${projectHeader} does`,
  );
}

/** Options for a call made on behalf of another: its project, its abort signal, and what is left of its time. */
export function onwardCall(context: Pick<HandlerContext, "requestHeader" | "signal" | "timeoutMs">): CallOptions {
  const project = context.requestHeader.get(projectHeader);
  const timeoutMs = context.timeoutMs();
  return {
    signal: context.signal,
    ...(timeoutMs !== undefined && { timeoutMs: Math.max(1, Math.floor(timeoutMs)) }),
    ...(project !== null && { headers: { [projectHeader]: project } }),
  };
}
