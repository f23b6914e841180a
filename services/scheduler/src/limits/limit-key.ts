import type { ResourceKey } from "@longhaul/core";

/** The limit of a project's tasks together. */
export const projectKey = "project";
const workflowPrefix = "workflow:";

/** The largest limit. */
export const maxConcurrency = 100_000;

const keyPattern = /^(?:workflow:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export function isLimitKey(key: string): boolean {
  return keyPattern.test(key);
}

/** The limit of a workflow's tasks. */
export function workflowKey(name: string): string {
  return `${workflowPrefix}${name}`;
}

/** The workflow whose tasks a limit counts; undefined for other limits. */
export function workflowOf(key: string): string | undefined {
  return key.startsWith(workflowPrefix) ? key.slice(workflowPrefix.length) : undefined;
}

/** What finds a limit that somebody stored. */
export function limitKey(project: string, key: string): ResourceKey {
  return { project, kind: "limit", name: key };
}
