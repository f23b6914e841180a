// The split floor's scheduler: grouped MongoDB writes, a ticket per task to JetStream, and nothing that is not on a task's way.
import { AckPolicy, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect, createInbox } from "@nats-io/transport-node";
import type { Document } from "mongodb";
import { serveWorker } from "../../process/worker.ts";
import { collect, listen, reply } from "../http.ts";
import { mongoWrites } from "../mongo-writes.ts";
import type { ServerCalls } from "../server-calls.ts";
import { type NewTask, type Report, tickets } from "./wire.ts";

serveWorker<ServerCalls>({
  async start({ mongodb = "", nats = "" }) {
    const writes = await mongoWrites(mongodb);
    const connection = await connect({ servers: nats });
    const manager = await jetstreamManager(connection);
    const storage = StorageType.Memory;
    await manager.streams.add({
      name: tickets.stream,
      subjects: [tickets.subject],
      retention: RetentionPolicy.Workqueue,
      storage,
    });
    await manager.consumers.add(tickets.stream, {
      durable_name: tickets.consumer,
      ack_policy: AckPolicy.Explicit,
      max_ack_pending: -1,
    });
    // Tasks on their way, so that no step needs a read.
    const known = new Map<string, NewTask>();
    const waiting = new Map<string, (() => void)[]>();
    const acks = createInbox();
    connection.subscribe(acks, {
      callback: (err, msg) => {
        if (err || !msg.string().startsWith('{"stream"')) throw new Error(`a ticket was not taken: ${err ?? msg.string()}`);
      },
    });

    async function submit(tasks: readonly NewTask[]): Promise<string> {
      await writes.insert(tasks.map(({ id, workflow, inputJson }) => ({ id, workflow, input: inputJson })));
      for (const task of tasks) {
        known.set(task.id, task);
        connection.publish(tickets.subject, task.id, { reply: acks });
      }
      return "{}";
    }

    async function claim(ids: readonly string[]): Promise<string> {
      await writes.claim(ids);
      return JSON.stringify(ids.map((id) => known.get(id)));
    }

    async function report(reports: readonly Report[]): Promise<string> {
      await writes.finish(
        reports.map(({ id, startTime, endTime, outputs }) => ({
          id,
          head: { version: 3, attempt: 1, report: 1, tries: 0, startTime, endTime },
          outputs,
        })),
      );
      for (const { id } of reports) {
        known.delete(id);
        const told = waiting.get(id);
        waiting.delete(id);
        for (const tell of told ?? []) tell();
      }
      return "{}";
    }

    async function wait(id: string): Promise<string> {
      if (known.has(id)) await new Promise<void>((resolve) => waiting.set(id, [...(waiting.get(id) ?? []), resolve]));
      const [found] = await writes.read([id]);
      return found === undefined ? "null" : show(found);
    }

    const methods: Readonly<Record<string, (body: string) => Promise<string>>> = {
      "/submit": (body) => submit(JSON.parse(body)),
      "/claim": (body) => claim(JSON.parse(body)),
      "/report": (body) => report(JSON.parse(body)),
      "/wait": (body) => wait(JSON.parse(body)),
      "/read": async (body) => {
        const { ids }: { readonly ids: readonly string[] } = JSON.parse(body);
        return `{"tasks":[${(await writes.read(ids)).map(show).join(",")}]}`;
      },
    };
    return listen((req, res) => {
      collect(req, (body) => {
        const method = methods[req.url ?? ""];
        if (method === undefined) return reply(res, 404, "{}");
        method(body)
          .then((json) => reply(res, 200, json))
          .catch((why: unknown) => reply(res, 503, JSON.stringify({ why: String(why) })));
      });
    }).then(({ url }) => ({ url }));
  },
});

function show(found: Document): string {
  const { _id: id, workflow, state, input, head } = found;
  const ended = head.endTime === undefined ? "" : `,"output":${head.output},"endTime":"${new Date(head.endTime).toISOString()}"`;
  return `{"id":"${id}","workflow":"${workflow}","state":"${state}","input":${input}${ended}}`;
}
