// node llm-pipeline/run.mjs [folder]   has a model summarise the text files of a folder (default: this repository's own documents)
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { call, putWorkflow, run } from "../shared/longhaul.mjs";
import { serveFolder } from "../text-report/file-server.mjs";

const { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey, OPENAI_MODEL: defaultModel } = process.env;
const files = await serveFolder(process.argv[2] ?? fileURLToPath(new URL("../..", import.meta.url)));
try {
  if (baseUrl === undefined || defaultModel === undefined)
    throw new Error("set OPENAI_BASE_URL and OPENAI_MODEL, and OPENAI_API_KEY where the server wants one");
  if (files.names.length === 0) throw new Error("no text files lie there");
  await call("PUT", "/v1/connections/llm-pipeline", {
    body: { baseUrl, defaultModel, concurrency: 4, ...(apiKey === undefined ? {} : { apiKey }) },
  });
  await putWorkflow("llm-pipeline", join(import.meta.dirname, "workflow.yaml"));
  const documents = files.names.slice(0, 20).map((name) => ({ name, url: `${files.url}/${encodeURIComponent(name)}` }));
  const task = await run({ workflow: "llm-pipeline", input: { documents } });
  if (task.state !== "succeeded") throw new Error(`the task ended as ${task.state}: ${task.error?.message}`);
  for (const { name, summary, topics, tokens } of task.output.documents) {
    console.log(`${name}: ${summary}\n  about ${topics.join(", ")}; ${tokens} tokens`);
  }
  for (const { name, why } of task.output.left) console.log(`${name} was left out: ${why}`);
  console.log(task.output.overview);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  files.close();
}
