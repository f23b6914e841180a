// node text-report/run.mjs [folder]   reports on the text files of a folder (default: this repository's own documents)
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { call, putWorkflow } from "../shared/longhaul.mjs";
import { serveFolder } from "./file-server.mjs";
import { receiveWebhooks } from "./receiver.mjs";

const folder = process.argv[2] ?? fileURLToPath(new URL("../..", import.meta.url));
const secret = `whsec_${randomBytes(24).toString("base64")}`;
const files = await serveFolder(folder);
const receiver = await receiveWebhooks(secret);
try {
  if (files.names.length === 0) throw new Error(`no text files lie in ${folder}`);
  await putWorkflow("text-report", join(import.meta.dirname, "workflow.yaml"));
  const task = await call("POST", "/v1/tasks", {
    body: {
      workflow: "text-report",
      input: { base: files.url, documents: files.names.slice(0, 4).map(encodeURIComponent) },
      webhook: { url: receiver.url, secret },
    },
  });
  console.log(`accepted ${task.id}, waiting for the signed webhook`);

  const message = await receiver.next();
  if (message.type !== "task.succeeded")
    throw new Error(`the task ended as ${message.data.state}: ${message.data.error?.message}`);
  const { output } = message.data;
  for (const [at, { words, lines, characters }] of output.documents.entries()) {
    console.log(`${decodeURIComponent(output.names[at]).padEnd(24)} ${words} words  ${lines} lines  ${characters} characters`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  files.close();
  receiver.close();
}
