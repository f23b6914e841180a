import { createHash, timingSafeEqual } from "node:crypto";
import { LonghaulError } from "@longhaul/core";
import type { ApiKeySetting } from "@longhaul/shared";

/** Reads a header; undefined when the request has none of that name. */
export type HeaderReader = (name: string) => string | undefined;

/** Says in which project a request acts. Throws `unauthenticated`. */
export type Authenticate = (header: HeaderReader) => string;

/** The project of everybody when there are no keys, which is allowed on loopback only. */
export const defaultProject = "default";

/**
 * Authenticates by `Authorization: Bearer lh_...` or `x-api-key: lh_...`. Only hashes are kept; every one of them is compared, each in
 * constant time, so that the time taken tells nothing. Without any key everybody acts in project `default`.
 */
export function authenticateBy(keys: readonly ApiKeySetting[]): Authenticate {
  if (keys.length === 0) return () => defaultProject;
  const known = keys.map(({ project, key }) => ({ project, hash: digest(key) }));
  return (header) => {
    const key = presented(header);
    const hash = digest(key);
    let project: string | undefined;
    for (const one of known) if (timingSafeEqual(one.hash, hash)) project = one.project;
    if (project === undefined) throw new LonghaulError("unauthenticated", "the API key is not valid");
    return project;
  };
}

function presented(header: HeaderReader): string {
  const authorization = header("authorization");
  const bare = header("x-api-key");
  const bearer = authorization === undefined ? undefined : /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (authorization !== undefined && bearer === undefined) {
    throw new LonghaulError("unauthenticated", "the authorization header is not of the form: Bearer lh_...");
  }
  if (bearer !== undefined && bare !== undefined && bearer !== bare) {
    throw new LonghaulError("unauthenticated", "authorization and x-api-key carry different keys: send one of them");
  }
  const key = bearer ?? bare;
  if (!key)
    throw new LonghaulError("unauthenticated", "an API key is required: send it as Authorization: Bearer lh_... or as x-api-key");
  return key;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
