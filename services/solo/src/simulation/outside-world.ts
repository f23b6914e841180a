import { type Outbound, OutboundError, type OutboundRequest, type OutboundResponse } from "@longhaul/core";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./simulated-time.ts";
import type { StoreLog } from "./watched-store.ts";

/** What the outside saw. */
export interface OutsideWorld {
  /** Operation keys by `task/node`. */
  readonly effects: Map<string, Set<string>>;
  /** How many calls came under an operation key. */
  readonly calls: Map<string, number>;
  /** Bodies of posts that were answered well, by `webhook-id`. */
  readonly received: Map<string, string[]>;
  readonly broken: string[];
  /** Probability that a call goes wrong. */
  rate: number;
  outbound(process: SimulatedProcess): Outbound;
}

/**
 * A service that doubles numbers (`https://work.test/double?task=&node=&n=`), one that does so from the second call under a key on (`/flaky`), one that
 * refuses, and a receiver of webhooks. Slow, and
 * now and then broken: before or after the work is done.
 */
export function outsideWorld(faults: Faults, stored: () => StoreLog): OutsideWorld {
  const { time, random } = faults;
  const never = new Promise<never>(() => {});

  function work(request: OutboundRequest): OutboundResponse {
    const url = new URL(request.url);
    const task = url.searchParams.get("task") ?? "";
    const node = url.searchParams.get("node") ?? "";
    const place = `${task}/${node}`;
    const key = request.headers["idempotency-key"] ?? request.headers["Idempotency-Key"] ?? "";
    self.effects.set(place, (self.effects.get(place) ?? new Set()).add(key));
    const calls = (self.calls.get(key) ?? 0) + 1;
    self.calls.set(key, calls);
    // What is stored is not done again: the promise that makes a lost executor cheap.
    if (stored().succeededNodes.has(place)) self.broken.push(`${place} was called after its result was stored`);
    if (url.pathname === "/flaky" && calls === 1) return answer(503, "");
    if (url.pathname === "/refuse") throw new OutboundError("forbidden_address", "this address is not allowed");
    return answer(200, JSON.stringify({ value: 2 * Number(url.searchParams.get("n")) }));
  }

  function receive(request: OutboundRequest): OutboundResponse {
    const id = request.headers["webhook-id"] ?? "";
    const body = Buffer.from(request.body ?? "").toString();
    self.received.set(id, [...(self.received.get(id) ?? []), body]);
    return answer(204, "");
  }

  const self: OutsideWorld = {
    effects: new Map(),
    calls: new Map(),
    received: new Map(),
    broken: [],
    rate: 0,
    outbound: (process) => ({
      async stream(request) {
        const { status, headers, body } = await this.request(request);
        return { status, headers, body: inPieces(body), close: () => {} };
      },
      async request(request) {
        const chance = random();
        const isSlow = random() < 0.1;
        faults.onCrossing(process, "outside", "before");
        if (process.dead) return never;
        await alive(time.wait(random() * (isSlow ? 3_000 : 60)), request.signal);
        if (process.dead) return never;
        if (chance < self.rate / 2) return answer(503, "");
        let response: OutboundResponse;
        try {
          response = time.as(undefined, () => (request.url.includes("//work.test/") ? work(request) : receive(request)));
        } finally {
          faults.onCrossing(process, "outside", "after");
        }
        await alive(time.wait(random() * 60), request.signal);
        while (process.frozenUntil > time.now()) await time.wait(process.frozenUntil - time.now());
        if (process.dead) return never;
        request.signal?.throwIfAborted();
        if (chance < self.rate) throw new OutboundError("network", "the connection was reset");
        return response;
      },
    }),
  };
  return self;
}

async function* inPieces(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

function answer(status: number, text: string): OutboundResponse {
  return { status, headers: { "content-type": "application/json" }, body: Buffer.from(text) };
}

function alive(waited: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return waited;
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    waited.then(resolve, reject);
  });
}
