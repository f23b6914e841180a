import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type NodeProcess, spawnNode } from "@longhaul/testkit";
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

test("an example without a server says how to start one", async () => {
  const program = spawnNode(join(here, "status-page", "run.mjs"), { LONGHAUL_URL: "http://127.0.0.1:9" });
  expect((await program.exited).code).toBe(1);
  expect(program.output()).toContain("npm start");
});
