// Floor: a Fastify route that reads JSON, answers 202 with an id, and does nothing else.
import { fastify } from "fastify";
import { serveWorker } from "../process/worker.ts";
import type { ServerCalls } from "./server-calls.ts";
import { uuidV7 } from "./uuid.ts";

serveWorker<ServerCalls>({
  async start() {
    const app = fastify({ logger: false });
    app.post<{ Body: { readonly workflow: string; readonly input: unknown } }>("/v1/tasks", async (request, answer) => {
      const { workflow, input } = request.body;
      return answer.code(202).send({ id: uuidV7(), workflow, state: "queued", input });
    });
    return { url: await app.listen({ host: "127.0.0.1", port: 0 }) };
  },
});
