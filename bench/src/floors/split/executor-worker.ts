// The split floor's executor: takes tickets, claims and reports in groups, runs the nodes.
import { connect, createInbox } from "@nats-io/transport-node";
import { serveWorker } from "../../process/worker.ts";
import { nodeCounts } from "../../workload.ts";
import { gather } from "../gather.ts";
import type { ServerCalls } from "../server-calls.ts";
import { callerOf } from "./call.ts";
import { type NewTask, type Report, tickets } from "./wire.ts";

const concurrency = 256;
const pullNs = 30_000_000_000;

serveWorker<ServerCalls>({
  async start({ scheduler = "", nats = "" }) {
    const connection = await connect({ servers: nats });
    const { call } = callerOf(scheduler);
    const claim = gather<string, NewTask>(async (ids) => JSON.parse(await call("/claim", JSON.stringify(ids))));
    const report = gather<Report, undefined>(async (reports) => {
      await call("/report", JSON.stringify(reports));
      return reports.map(() => undefined);
    });
    const inbox = createInbox();
    // Places for which no ticket was asked for yet.
    let free = 0;
    let due = false;

    function giveBack(count: number): void {
      free += count;
      if (due) return;
      due = true;
      setImmediate(() => {
        due = false;
        const body = JSON.stringify({ batch: free, expires: pullNs });
        free = 0;
        connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${tickets.stream}.${tickets.consumer}`, body, { reply: inbox });
      });
    }

    async function take(id: string, ack: string): Promise<void> {
      const task = await claim(id);
      connection.publish(ack, "");
      const startTime = Date.now();
      const outputs: string[] = [];
      let value: unknown = JSON.parse(task.inputJson);
      for (let i = 0; i < nodeCounts[task.workflow]; i++) {
        const output = JSON.stringify(value);
        value = JSON.parse(output);
        outputs.push(output);
      }
      await report({ id, startTime, endTime: Date.now(), outputs });
      giveBack(1);
    }

    connection.subscribe(inbox, {
      callback: (err, msg) => {
        if (err) throw err;
        if (msg.reply) {
          take(msg.string(), msg.reply).catch((why: unknown) => {
            process.stderr.write(`the floor's executor: ${String(why)}\n`);
            process.exit(1);
          });
          return;
        }
        // The end of a pull that ran out says how much of it was not used.
        giveBack(Number(msg.headers?.get("Nats-Pending-Messages") ?? 0));
      },
    });
    giveBack(concurrency);
    return { url: "" };
  },
});
