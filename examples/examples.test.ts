import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { modelServer, type NodeProcess, spawnNode } from "@longhaul/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

const here = fileURLToPath(new URL(".", import.meta.url));
const solo = fileURLToPath(new URL("../services/solo/dist/main.js", import.meta.url));
let server: NodeProcess;
let url: string;

beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), "longhaul-examples-"));
  server = spawnNode(solo, { DATA_DIR: dir, PORT: "0", LOG_LEVEL: "warn" }, { remove: [dir] });
  const line = await server.ready(/listens on (http\S+)/);
  url = /listens on (http:\/\/\S+)/.exec(line)?.[1] ?? "";
});
afterAll(async () => {
  expect(await server.kill()).toStrictEqual({ code: 0, signal: null });
});

async function runExample(name: string, ...args: string[]): Promise<string> {
  const program = spawnNode(join(here, name, "run.mjs"), { LONGHAUL_URL: url }, { args });
  const { code } = await program.exited;
  expect(program.output()).not.toBe("");
  expect(code, program.output()).toBe(0);
  return program.output();
}

test("text-report counts this repository's own documents and delivers the report by signed webhook", async () => {
  const said = await runExample("text-report");
  expect(said).toMatch(/ARCHITECTURE\.md\s+[1-9]\d* words/);
  expect(said).toMatch(/LICENSE\s+[1-9]\d* words/);
});

test("text-report reports on any folder, one document and odd names included", async () => {
  const folder = mkdtempSync(join(tmpdir(), "longhaul-notes-"));
  mkdirSync(join(folder, "deeper"));
  writeFileSync(join(folder, "zwölf & más.txt"), "eins zwei  drei\nvier");
  const said = await runExample("text-report", folder);
  expect(said).toMatch(/zwölf & más\.txt\s+4 words\s+2 lines/);
});

test("status-page tells a service that is up from one that is down", async () => {
  const said = await runExample("status-page");
  expect(said).toContain("shop is up, search is down");
  expect(said).toMatch(/search: .*503/);
});

test("order-quote books once although the first answer is lost", async () => {
  expect(await runExample("order-quote")).toContain("quote Q1 over 135; 2 calls, 1 booking");
});

test("document-pipeline counts the paragraphs and words of this repository's own documents as the files have them", async () => {
  const said = await runExample("document-pipeline");
  for (const name of ["LICENSE", "ARCHITECTURE.md", "docs/workflows.md"]) {
    const text = readFileSync(join(here, "..", name), "utf8");
    const paragraphs = text.split(/\n\s*\n/).filter((one) => /\S/.test(one)).length;
    const words = text.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu)?.length;
    expect(said.replaceAll(/ +/g, " ")).toContain(`${name} ${paragraphs} paragraphs ${words} words`);
  }
  expect(said).toMatch(/most frequent: nodes \d+,/);
});

test("document-pipeline finds the most frequent words over all documents, an empty one and odd words included", async () => {
  const folder = mkdtempSync(join(tmpdir(), "longhaul-notes-"));
  writeFileSync(
    join(folder, "a.txt"),
    "Storms and storms.\n\n  \nThe coast-road closed.\r\n\r\nConstructor, constructor: STORMS",
  );
  writeFileSync(join(folder, "b.md"), "Straße straße storms");
  writeFileSync(join(folder, "c"), "");
  const said = await runExample("document-pipeline", folder);
  expect(said).toMatch(/a\.txt +3 paragraphs +9 words\n/);
  expect(said).toMatch(/b\.md +1 paragraphs +3 words\n/);
  expect(said).toMatch(/c +0 paragraphs +0 words\n/);
  expect(said).toContain("most frequent: storms 4, constructor 2, straße 2, closed 1, coast-road 1\n");
});

test("approval-flow goes on as the link's holder chose, or without an answer, and no link works twice", async () => {
  const said = await runExample("approval-flow");
  expect(said.trim().split("\n")).toEqual([
    "1.4.0 is out, says ann",
    "1.5.0 is held back by bob: the notes are missing",
    "1.6.0 waits for the next round: node_timeout",
    "the link that ann used, used again: 409",
    "the link that bob used, used again: 409",
  ]);
});

test("approval-flow takes a decision by signal, and shows its link to nobody", async () => {
  const program = spawnNode(join(here, "approval-flow", "run.mjs"), { LONGHAUL_URL: url }, { args: ["signal"] });
  const id = /task (\S+)/.exec(await program.ready(/decide about task \S+/))?.[1];
  const signalled = await fetch(`${url}/v1/tasks/${id}:signal`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ node: "decision", payload: { choice: "hold", comment: "not today" }, by: "cem" }),
  });
  expect(signalled.status).toBe(200);
  expect((await program.exited).code, program.output()).toBe(0);
  expect(program.output()).toContain("2.0.0 is held back by cem: not today");
  const nodes = await (await fetch(`${url}/v1/tasks/${id}/nodes`)).text();
  expect(nodes).toContain('"path":"ask"');
  expect(nodes).not.toContain("/v1/resume/");
});

test("llm-pipeline summarises every document by the model server that the environment names, and tries again after 429", async () => {
  const folder = mkdtempSync(join(tmpdir(), "longhaul-notes-"));
  for (const [name, text] of [
    ["a.txt", "Ships sail."],
    ["b.txt", "Trains roll."],
    ["empty.txt", ""],
  ] as const)
    writeFileSync(join(folder, name), text);
  let refused = 0;
  const models = await modelServer(({ body }) => {
    const asked = String(body.messages?.at(-1)?.content);
    if (asked.startsWith("What do these"))
      return { kind: "text", pieces: ["Overview of ", `${asked.split("\n").slice(2).join(" & ")}`] };
    if (refused++ === 0) return { kind: "status", status: 429, headers: { "retry-after": "0" } };
    const text = asked.split("\n\n")[1];
    // What is no JSON fails that document.
    const answer = text === "" ? "nothing" : JSON.stringify({ summary: `It says: ${text}`, topics: ["traffic"] });
    return { kind: "text", pieces: [answer.slice(0, 5), answer.slice(5)] };
  });
  try {
    const env = { LONGHAUL_URL: url, OPENAI_BASE_URL: models.baseUrl, OPENAI_API_KEY: "key-4711-abc", OPENAI_MODEL: "small" };
    const program = spawnNode(join(here, "llm-pipeline", "run.mjs"), env, { args: [folder] });
    expect((await program.exited).code, program.output()).toBe(0);
    const said = program.output();
    expect(said).toMatch(/a\.txt: It says: Ships sail\.\n {2}about traffic; [1-9]\d* tokens/);
    expect(said).toContain("b.txt: It says: Trains roll.");
    expect(said).toMatch(/empty\.txt was left out: \S/);
    expect(said).toContain("Overview of a.txt: It says: Ships sail. & b.txt: It says: Trains roll.");
    for (const { headers, body } of models.requests) {
      expect(headers.authorization).toBe("Bearer key-4711-abc");
      expect(body.model).toBe("small");
    }
  } finally {
    await models.stop();
  }
});

test("python-worker counts in Python, and a failure that its node expects is a result", async () => {
  expect(await runExample("python-worker")).toContain('9 words, most often "the"');
  expect(await runExample("python-worker", "word ".repeat(101))).toContain('101 words, most often "word"; too many');
}, 180_000);

test("an example without a server says how to start one", async () => {
  const program = spawnNode(join(here, "status-page", "run.mjs"), { LONGHAUL_URL: "http://127.0.0.1:9" });
  expect((await program.exited).code).toBe(1);
  expect(program.output()).toContain("npm start");
});
