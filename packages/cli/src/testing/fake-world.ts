import { CliError, exits } from "../cli-error.ts";
import type { World } from "../world.ts";

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
  readonly redirect: RequestInit["redirect"] | undefined;
}

export interface FakeWorld extends World {
  /** What was written to standard output and standard error. */
  readonly said: { out: string; err: string };
  readonly requests: SeenRequest[];
  /** How long it would have paused, in milliseconds. */
  readonly pauses: number[];
  interrupt(): void;
}

export interface FakeOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly isTerminal?: boolean;
  readonly columns?: number;
  /** Answers the requests in order; the last one answers all that follow. */
  readonly answers?: readonly ((request: SeenRequest) => Response | Promise<Response>)[];
}

export function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): () => Response {
  return () => new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
}

/** A world in memory, with a server that answers what it is told to and a clock that only pauses move. */
export function fakeWorld(options: FakeOptions = {}): FakeWorld {
  const { env = {}, files = {}, stdin = "", isTerminal = false, columns = 80, answers = [] } = options;
  const said = { out: "", err: "" };
  const requests: SeenRequest[] = [];
  const pauses: number[] = [];
  const quit = new AbortController();
  let now = 0;
  const out = (to: "out" | "err") => ({
    write: (text: string): void => {
      said[to] += text;
    },
    isTerminal,
    columns,
    hasColours: false,
  });
  return {
    said,
    requests,
    pauses,
    interrupt: () => quit.abort(),
    env,
    out: out("out"),
    err: out("err"),
    readStdin: async () => stdin,
    askHidden: undefined,
    async readFile(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file, open '${path}'`);
      return text;
    },
    async fetch(input, init) {
      const url = new URL(String(input));
      const request = {
        method: init?.method ?? "GET",
        path: url.pathname + url.search,
        headers: new Headers(init?.headers),
        body: typeof init?.body === "string" ? init.body : "",
        redirect: init?.redirect,
      };
      const answer = answers[Math.min(requests.length, answers.length - 1)];
      requests.push(request);
      if (!answer) throw new Error("nobody expects a request");
      return answer(request);
    },
    async pause(ms) {
      if (quit.signal.aborted) throw new CliError(exits.interrupted, "interrupted");
      pauses.push(ms);
      now += ms;
    },
    now: () => now,
    quit: quit.signal,
  };
}
