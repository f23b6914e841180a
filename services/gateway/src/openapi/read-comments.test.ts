import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readComments } from "./read-comments.ts";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const publicFiles = new Set(
  [
    "connection_service",
    "delivery_service",
    "limit_service",
    "schedule_service",
    "secret_service",
    "task",
    "task_service",
    "worker_service",
    "workflow_service",
  ].map((name) => `longhaul/v1/${name}.proto`),
);

// `npx vitest run --project unit services/gateway/src/openapi -u` writes the file anew.
test("proto-comments.ts holds the comments of the .proto files as they are now", async () => {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-image-"));
  try {
    const image = join(dir, "image.binpb");
    execFileSync(join(root, "node_modules/.bin/buf"), ["build", "-o", image], { cwd: root });
    const comments = readComments(readFileSync(image), (file) => publicFiles.has(file));
    expect(comments["longhaul.v1.TaskService.Submit"]).toMatch(/^Accepts a task/);
    const lines = Object.entries(comments).map(([name, text]) => lineOf(JSON.stringify(name), JSON.stringify(text)));
    const file = `// Made from the .proto files by read-comments.test.ts; do not edit.\n/** Comments of the public API by full name. */\nexport const protoComments: Readonly<Record<string, string>> = {\n${lines.join("")}};\n`;
    await expect(file).toMatchFileSnapshot("./proto-comments.ts");
  } finally {
    await rm(dir, { recursive: true });
  }
});

/** As the formatter wants it. */
function lineOf(name: string, text: string): string {
  const line = `  ${name}: ${text},\n`;
  return line.length <= 131 ? line : `  ${name}:\n    ${text},\n`;
}
