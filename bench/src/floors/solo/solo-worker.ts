// The solo floor: a bare prototype of the design in one process. node:http, grouped SQLite writes, an in-memory queue as tickets.
import { serveWorker } from "../../process/worker.ts";
import { nodeCounts, type WorkflowName } from "../../workload.ts";
import { collect, listen, reply, waitOf } from "../http.ts";
import type { ServerCalls } from "../server-calls.ts";
import { uuidV7 } from "../uuid.ts";
import { soloFloorStore } from "./store.ts";

interface Submit {
  readonly workflow: WorkflowName;
  readonly input: unknown;
}

interface Ticket {
  readonly id: string;
  readonly workflow: WorkflowName;
  readonly inputJson: string;
}

const leaseMs = 30_000;

serveWorker<ServerCalls>({
  async start({ file = "" }) {
    const store = soloFloorStore(file);
    const waiting = new Map<string, (() => void)[]>();
    let tickets: Ticket[] = [];

    function ring(ticket: Ticket): void {
      tickets.push(ticket);
      if (tickets.length === 1) setImmediate(claimAll);
    }

    function claimAll(): void {
      const taken = tickets;
      tickets = [];
      for (const ticket of taken) {
        const now = Date.now();
        const head = JSON.stringify({
          version: 2,
          attempt: 1,
          tries: 1,
          executor: "floor",
          startTime: now,
          leaseUntil: now + leaseMs,
        });
        store.claim(ticket.id, now + leaseMs, head, () => run(ticket, now));
      }
    }

    function run({ id, workflow, inputJson }: Ticket, startTime: number): void {
      const runs: { readonly path: string; readonly rest: string; readonly output: string }[] = [];
      let value: unknown = JSON.parse(inputJson);
      for (let i = 1; i <= nodeCounts[workflow]; i++) {
        const now = Date.now();
        const output = JSON.stringify(value);
        value = JSON.parse(output);
        const rest = JSON.stringify({ kind: "transform", state: "succeeded", startTime: now, endTime: now, tries: 1 });
        runs.push({ path: `n${i}`, rest, output });
      }
      const head = JSON.stringify({ version: 3, attempt: 1, tries: 0, startTime, endTime: Date.now() });
      store.finish(id, head, JSON.stringify(value), runs, () => {
        const told = waiting.get(id);
        if (told === undefined) return;
        waiting.delete(id);
        for (const tell of told) tell();
      });
    }

    /** Calls once the task has ended. */
    function whenEnded(id: string, then: () => void): void {
      const told = waiting.get(id);
      if (store.hasEnded(id)) then();
      else if (told === undefined) waiting.set(id, [then]);
      else told.push(then);
    }

    const { url } = await listen((req, res) => {
      const path = req.url ?? "";
      if (req.method === "POST" && path === "/v1/tasks") {
        const wait = waitOf(req);
        collect(req, (body) => {
          const { workflow, input }: Submit = JSON.parse(body);
          if (nodeCounts[workflow] === undefined) return reply(res, 404, "{}");
          const id = uuidV7();
          const now = Date.now();
          const inputJson = JSON.stringify(input);
          const head = JSON.stringify({ version: 1, attempt: 0, tries: 0, queueing: "ticketed" });
          if (wait > 0) whenEnded(id, () => reply(res, 200, store.show(id)));
          store.insert(id, workflow, now, head, inputJson, () => {
            ring({ id, workflow, inputJson });
            if (wait > 0) return;
            const createTime = new Date(now).toISOString();
            reply(res, 202, JSON.stringify({ id, workflow, state: "queued", input, createTime }));
          });
        });
      } else if (req.method === "POST" && path === "/v1/tasks:batchGet") {
        collect(req, (body) => {
          const { ids }: { readonly ids: readonly string[] } = JSON.parse(body);
          reply(res, 200, `{"tasks":[${ids.map(store.show).join(",")}]}`);
        });
      } else if (req.method === "GET") {
        const id = path.slice("/v1/tasks/".length);
        whenEnded(id, () => reply(res, 200, store.show(id)));
      } else {
        collect(req, () => reply(res, 200, "{}"));
      }
    });
    return { url };
  },
});
