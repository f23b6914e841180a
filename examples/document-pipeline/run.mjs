// node document-pipeline/run.mjs [folder]   counts the words of a folder's text files (default: this repository's own documents)
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { putWorkflow, run } from "../shared/longhaul.mjs";
import { serveFolder } from "../text-report/file-server.mjs";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const folders = process.argv[2] === undefined ? [repository, join(repository, "docs")] : [process.argv[2]];
const servers = [];
try {
  const documents = [];
  for (const folder of folders) {
    const files = await serveFolder(folder);
    servers.push(files);
    // Two folders may hold a file of the same name.
    const before = folder === folders[0] ? "" : `${basename(folder)}/`;
    for (const name of files.names) documents.push({ name: before + name, url: `${files.url}/${encodeURIComponent(name)}` });
  }
  if (documents.length === 0) throw new Error(`no text files lie in ${folders.join(" and ")}`);
  await putWorkflow("document-pipeline", join(import.meta.dirname, "workflow.yaml"));
  const task = await run({ workflow: "document-pipeline", input: { documents: documents.slice(0, 100) } });
  if (task.state !== "succeeded") throw new Error(`the task ended as ${task.state}: ${task.error?.message}`);
  const width = Math.max(...task.output.documents.map(({ name }) => name.length));
  for (const { name, paragraphs, words } of task.output.documents) {
    console.log(`${name.padEnd(width)}  ${paragraphs} paragraphs  ${words} words`);
  }
  console.log(`most frequent: ${task.output.frequent.map(({ word, count }) => `${word} ${count}`).join(", ")}`);
  console.log(`task ${task.id}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  for (const server of servers) server.close();
}
