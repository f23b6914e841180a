import { LonghaulError } from "@longhaul/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { parseJson } from "./json-text.ts";
import type { SentBody } from "./sent-body.ts";
import { parseYaml } from "./yaml-text.ts";

/** The bytes of request bodies that the process may hold at a time. */
export interface ByteBudget {
  /** Takes so many bytes; the returned function gives them back. Throws `unavailable` when there are not enough left. */
  take(bytes: number): () => void;
}

export interface BodyOptions {
  readonly budget: ByteBudget;
  readonly maxBodyBytes: number;
}

/** Counted for a body whose length is not told in advance. */
const unknownBytes = 262_144;

/** Reads JSON and YAML bodies into `request.body` as a SentBody (undefined for an empty one), within the budget. */
export function parseBodies(app: FastifyInstance, { budget, maxBodyBytes }: BodyOptions): void {
  app.addHook("preParsing", (request, reply, payload, done) => {
    const { headers } = request;
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      done(new LonghaulError("unsupported_media_type", "compressed bodies are not read: leave content-encoding out"));
      return;
    }
    const length = Number(headers["content-length"] ?? (headers["transfer-encoding"] === undefined ? 0 : unknownBytes));
    try {
      // A body that is too large is refused as such a moment later.
      if (length > 0 && length <= maxBodyBytes) reply.raw.once("close", budget.take(length));
      done(null, payload);
    } catch (error) {
      done(error instanceof Error ? error : new Error("no room for the body"));
    }
  });

  app.removeAllContentTypeParsers();
  const parser =
    (parse: (bytes: Uint8Array) => SentBody["value"]) =>
    (request: FastifyRequest, bytes: Buffer, done: (error: Error | null, body?: SentBody) => void): void => {
      try {
        checkCharset(request.headers["content-type"] ?? "");
        done(null, bytes.length === 0 ? undefined : { bytes, value: parse(bytes) });
      } catch (error) {
        done(error instanceof Error ? error : new Error("unreadable body"));
      }
    };
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, parser(parseJson));
  app.addContentTypeParser(["application/yaml", "application/x-yaml", "text/yaml"], { parseAs: "buffer" }, parser(parseYaml));
}

function checkCharset(contentType: string): void {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType)?.[1]?.toLowerCase();
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8") {
    throw new LonghaulError("unsupported_media_type", "the body must be UTF-8");
  }
}
