import { type Json, LonghaulError } from "@longhaul/core";
import type { Page } from "./http-app.ts";
import type { Answer } from "./write-answer.ts";

export interface PagesOptions {
  /** Whether this process wants work and reaches what it needs. */
  readonly isReady: () => boolean | Promise<boolean>;
  readonly openApi: Json;
  /** The JSON Schema of workflow definitions. */
  readonly workflowSchema: () => Json | Promise<Json>;
}

/** What is served besides the methods: an entrance, probes, and the two documents. */
export function pages({ isReady, openApi, workflowSchema }: PagesOptions): readonly Page[] {
  const document = JSON.stringify(openApi);
  return [
    { path: "/", answer: () => json(entrance, "application/json") },
    { path: "/livez", answer: () => text(200, "ok\n") },
    { path: "/readyz", answer: async () => ((await isReady()) ? text(200, "ok\n") : notReady()) },
    { path: "/openapi.json", answer: () => json(document, "application/json") },
    { path: "/v1/workflow-schema", answer: async () => json(JSON.stringify(await workflowSchema()), "application/schema+json") },
  ];
}

const entrance = JSON.stringify({
  name: "Longhaul",
  openapi: "/openapi.json",
  tasks: "/v1/tasks",
  workflows: "/v1/workflows",
  workflowSchema: "/v1/workflow-schema",
  health: { live: "/livez", ready: "/readyz" },
});

function json(body: string, type: string): Answer {
  return { status: 200, headers: { "content-type": type, "cache-control": "public, max-age=60" }, body };
}

function text(status: number, body: string): Answer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" }, body };
}

function notReady(): never {
  throw new LonghaulError("unavailable", "not ready: starting, draining, or out of reach of what it needs");
}
