// node approval-flow/run.mjs          three versions: one is released, one held back, and of one nobody says anything
// node approval-flow/run.mjs signal   one version, and you decide it with curl
import { join } from "node:path";
import { address, call, ended, putWorkflow } from "../shared/longhaul.mjs";
import { openDesk, useLink } from "./desk.mjs";

const answers = {
  "1.4.0": { choice: "release", by: "ann" },
  "1.5.0": { choice: "hold", by: "bob", comment: "the notes are missing" },
};
const decide = ({ question }) => answers[Object.keys(answers).find((version) => question.includes(version))];
const byHand = process.argv[2] === "signal";
const desk = await openDesk(decide);
const ask = (version, patience) =>
  call("POST", "/v1/tasks", {
    body: { workflow: "approval-flow", input: { version, longhaul: address, desk: desk.url, patience } },
  });
try {
  // The workflow calls Longhaul itself, so it needs a key where Longhaul asks for one; elsewhere any text will do.
  await call("PUT", "/v1/secrets/APPROVAL_FLOW_KEY", { body: { value: process.env.LONGHAUL_KEY ?? "none is needed" } });
  await putWorkflow("approval-flow", join(import.meta.dirname, "workflow.yaml"));
  const tasks = byHand
    ? [await ask("2.0.0", "1h")]
    : [await ask("1.4.0", "1h"), await ask("1.5.0", "1h"), await ask("1.6.0", "2s")];
  if (byHand) console.log(`decide about task ${tasks[0].id}`);
  for (const { id } of tasks) {
    const task = await ended(id);
    if (task.state !== "succeeded") throw new Error(`the task ended as ${task.state}: ${task.error?.message}`);
    console.log(task.output);
  }
  for (const { link, answer } of desk.answered) {
    console.log(`the link that ${answer.by} used, used again: ${(await useLink(link, answer)).status}`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  desk.close();
}
