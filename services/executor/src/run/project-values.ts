import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import type { ExecutionService, ExecutionServiceReadConnectionResponse } from "@longhaul/proto/execution_service";
import { type Connection, NodeFailure } from "@longhaul/workflow";
import { type Hold, holdMessage, stopHold } from "./hold.ts";
import { patiently } from "./patiently.ts";

type ProjectClient = Pick<Client<typeof ExecutionService>, "readConnection" | "readSecrets">;

/** Connections and secrets of projects, read for the tasks that this process holds and kept in memory for a moment. */
export interface ProjectValues {
  /** Rejects with NodeFailure `connection_not_found` or `secret_not_found`. */
  connection(hold: Hold, name: string): Promise<Connection>;
  /** Values by name; those that do not exist are absent. */
  secrets(hold: Hold, names: readonly string[]): Promise<Readonly<Record<string, string>>>;
}

/** The longest that a change goes unnoticed. */
const keptMs = 30_000;
const maxKept = 2_000;
const namesAtOnce = 500;

/** `executor` is the unique name of this process, `monotonic` a clock in milliseconds. */
export function projectValues(client: ProjectClient, executor: string, monotonic: () => number): ProjectValues {
  const connections = briefly<Connection>(monotonic);
  const secrets = briefly<string>(monotonic);

  async function ask<T>(hold: Hold, call: () => Promise<T>): Promise<T> {
    try {
      return await patiently(hold, call);
    } catch (why) {
      if (why instanceof LonghaulError && why.code === "precondition_failed") stopHold(hold, "lost");
      throw why;
    }
  }

  return {
    async connection(hold, name) {
      const { project } = hold.task;
      const known = connections.get(project, name);
      if (known !== undefined) return known;
      try {
        const request = { hold: holdMessage(hold), executor, name };
        const read = connectionOf(await ask(hold, () => client.readConnection(request)));
        connections.keep(project, name, read);
        return read;
      } catch (why) {
        throw why instanceof LonghaulError && why.code === "not_found" ? noConnection(name) : why;
      }
    },

    async secrets(hold, names) {
      const { project } = hold.task;
      const found: Record<string, string> = Object.create(null);
      const wanted: string[] = [];
      for (const name of names) {
        const known = secrets.get(project, name);
        if (known === undefined) wanted.push(name);
        else found[name] = known;
      }
      for (let at = 0; at < wanted.length; at += namesAtOnce) {
        const request = { hold: holdMessage(hold), executor, names: wanted.slice(at, at + namesAtOnce) };
        const { values } = await ask(hold, () => client.readSecrets(request));
        for (const [name, value] of Object.entries(values)) {
          secrets.keep(project, name, value);
          found[name] = value;
        }
      }
      return found;
    },
  };
}

function connectionOf(read: ExecutionServiceReadConnectionResponse): Connection {
  const { name, apiKey, missingSecret, defaultModel, timeout } = read;
  if (missingSecret !== "") {
    const message = `connection "${name}" takes its key from secret "${missingSecret}", which does not exist; PUT /v1/secrets/${missingSecret} sets it`;
    throw new NodeFailure("secret_not_found", message, {
      retryable: false,
      sent: "no",
      details: { connection: name, secret: missingSecret },
    });
  }
  return {
    name,
    kind: "openai",
    baseUrl: read.baseUrl,
    ...(apiKey === "" ? {} : { apiKey }),
    ...(defaultModel === "" ? {} : { defaultModel }),
    allowedModels: [...read.allowedModels],
    concurrency: read.concurrency,
    requestsPerMinute: read.requestsPerMinute,
    tokensPerMinute: read.tokensPerMinute,
    headers: { ...read.headers },
    timeoutMs: timeout === undefined ? 600_000 : durationMs(timeout),
  };
}

function noConnection(name: string): NodeFailure {
  const shown = name.slice(0, 128);
  return new NodeFailure(
    "connection_not_found",
    `this project has no connection "${shown}"; PUT /v1/connections/${shown} stores one`,
    { retryable: false, sent: "no", details: { connection: shown } },
  );
}

/** Values by project and name, each for `keptMs`; of too many the oldest goes. */
function briefly<V>(monotonic: () => number) {
  const kept = new Map<string, { readonly value: V; readonly until: number }>();
  const keyOf = (project: string, name: string): string => `${project}/${name}`;
  return {
    get(project: string, name: string): V | undefined {
      const key = keyOf(project, name);
      const found = kept.get(key);
      if (found === undefined || found.until > monotonic()) return found?.value;
      kept.delete(key);
      return undefined;
    },
    keep(project: string, name: string, value: V): void {
      const key = keyOf(project, name);
      kept.delete(key);
      kept.set(key, { value, until: monotonic() + keptMs });
      if (kept.size <= maxKept) return;
      const oldest = kept.keys().next();
      if (oldest.done !== true) kept.delete(oldest.value);
    },
  };
}
