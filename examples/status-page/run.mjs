// node status-page/run.mjs   probes a service that is up and one that is down
import { join } from "node:path";
import { putWorkflow, run } from "../shared/longhaul.mjs";
import { serve } from "../shared/serve.mjs";

const shop = await serve((_req, res) => res.end("fine"));
const search = await serve((_req, res) => res.writeHead(503).end("overloaded"));
try {
  await putWorkflow("status-page", join(import.meta.dirname, "workflow.yaml"));
  const task = await run({ workflow: "status-page", input: { shop: shop.url, search: search.url } });
  if (task.state !== "succeeded") throw new Error(`the task ended as ${task.state}: ${task.error?.message}`);
  console.log(`shop is ${task.output.shop}, search is ${task.output.search}`);
  for (const { service, why } of task.output.incidents) console.log(`${service}: ${why}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  shop.close();
  search.close();
}
