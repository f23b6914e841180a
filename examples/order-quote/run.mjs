// node order-quote/run.mjs   a price list that hiccups, and a ledger that books each Idempotency-Key once
import { join } from "node:path";
import { putWorkflow, run } from "../shared/longhaul.mjs";
import { serve } from "../shared/serve.mjs";

let hiccups = 1;
const prices = await serve((_req, res) => {
  if (hiccups-- > 0) return res.writeHead(503, { "retry-after": "0" }).end();
  res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ price: 12.5 }));
});
const booked = new Map();
let calls = 0;
const ledger = await serve((req, res, body) => {
  calls++;
  const key = req.headers["idempotency-key"];
  if (!booked.has(key)) booked.set(key, { id: `Q${booked.size + 1}`, ...JSON.parse(body.toString()) });
  // The first answer is lost on the way: Longhaul asks again with the same key, and nothing is booked twice.
  if (calls === 1) return req.socket.destroy();
  res.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify(booked.get(key)));
});
try {
  await putWorkflow("order-quote", join(import.meta.dirname, "workflow.yaml"));
  const task = await run({
    workflow: "order-quote",
    input: { prices: prices.url, ledger: ledger.url, item: "anvil", quantity: 12 },
    labels: { customer: "acme" },
  });
  if (task.state !== "succeeded") throw new Error(`the task ended as ${task.state}: ${task.error?.message}`);
  console.log(`quote ${task.output.quote} over ${task.output.amount}; ${calls} calls, ${booked.size} booking`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  prices.close();
  ledger.close();
}
