// The split floor's gateway: HTTP in, grouped calls to the scheduler out.
import { serveWorker } from "../../process/worker.ts";
import { nodeCounts, type WorkflowName } from "../../workload.ts";
import { gather } from "../gather.ts";
import { collect, listen, reply, waitOf } from "../http.ts";
import type { ServerCalls } from "../server-calls.ts";
import { uuidV7 } from "../uuid.ts";
import { callerOf } from "./call.ts";
import type { NewTask } from "./wire.ts";

interface Submit {
  readonly workflow: WorkflowName;
  readonly input: unknown;
}

serveWorker<ServerCalls>({
  async start({ scheduler = "" }) {
    const { call } = callerOf(scheduler);
    const submit = gather<NewTask, undefined>(async (tasks) => {
      await call("/submit", JSON.stringify(tasks));
      return tasks.map(() => undefined);
    });
    const { url } = await listen((req, res) => {
      const path = req.url ?? "";
      const refuse = (why: unknown): void => reply(res, 503, JSON.stringify({ why: String(why) }));
      if (req.method === "POST" && path === "/v1/tasks") {
        const wait = waitOf(req);
        collect(req, (body) => {
          const { workflow, input }: Submit = JSON.parse(body);
          if (nodeCounts[workflow] === undefined) return reply(res, 404, "{}");
          const id = uuidV7();
          const createTime = new Date().toISOString();
          submit({ id, workflow, inputJson: JSON.stringify(input) })
            .then(async () => {
              if (wait > 0) reply(res, 200, await call("/wait", JSON.stringify(id)));
              else reply(res, 202, JSON.stringify({ id, workflow, state: "queued", input, createTime }));
            })
            .catch(refuse);
        });
      } else if (req.method === "POST" && path === "/v1/tasks:batchGet") {
        collect(req, (body) => {
          call("/read", body)
            .then((json) => reply(res, 200, json))
            .catch(refuse);
        });
      } else if (req.method === "GET") {
        call("/wait", JSON.stringify(path.slice("/v1/tasks/".length)))
          .then((json) => reply(res, 200, json))
          .catch(refuse);
      } else {
        collect(req, () => reply(res, 200, "{}"));
      }
    });
    return { url };
  },
});
