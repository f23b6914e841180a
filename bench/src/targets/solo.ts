import { freePort, spawnNode } from "@longhaul/testkit";
import { profileFlags, programOf } from "../process/start-worker.ts";
import { freshFolder } from "./fresh-folder.ts";
import type { Target } from "./target.ts";
import { warningsIn } from "./warnings-in.ts";

/** The product in one process, as `npm start` runs it. */
export async function startSolo(profileDir: string | undefined): Promise<Target> {
  const { dir, remove } = await freshFolder();
  const port = await freePort();
  const env = { PORT: String(port), DATA_DIR: dir };
  const solo = spawnNode(programOf("services/solo", "main"), env, { nodeArgs: profileFlags(profileDir, "solo"), remove: [dir] });
  await solo.ready(/listens on/);
  return {
    url: `http://127.0.0.1:${port}`,
    processes: [{ name: "solo", pid: solo.pid, isOurs: true }],
    warnings: () => warningsIn("solo", solo.output()),
    async stop() {
      await solo.kill();
      await remove();
    },
  };
}
