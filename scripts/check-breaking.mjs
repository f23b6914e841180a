// Whether the contract still fits its published form, proto/published.binpb (`npm run publish-contract` renews it with a release).
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./prepare.mjs";

const dir = mkdtempSync(join(tmpdir(), "longhaul-contract-"));
try {
  const now = join(dir, "now.binpb");
  // Images, because buf compares a workspace of several modules only with another such workspace.
  process.exitCode = buf("build", "-o", now) || buf("breaking", now, "--against", join("proto", "published.binpb"));
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function buf(...args) {
  return spawnSync(join(root, "node_modules", ".bin", "buf"), args, { cwd: root, stdio: "inherit" }).status ?? 1;
}
