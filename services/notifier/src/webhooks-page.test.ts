import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { guardedOutbound } from "@longhaul/shared";
import { expect, onTestFinished, test } from "vitest";
import { webhookRetryRule } from "./delivery/schedule.ts";
import { handClock } from "./testing/hand-clock.ts";
import { order, world } from "./testing/world.ts";

const page = await readFile(new URL("../../../docs/webhooks.md", import.meta.url), "utf8");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

function example(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page)?.[1];
  if (found === undefined) throw new Error(`docs/webhooks.md has no ${language} example`);
  return found;
}

/** The page's example as a running process. */
async function run(language: string, file: string, command: string, secret: string) {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-webhooks-"));
  await writeFile(join(dir, file), example(language));
  const child = spawn(command, [join(dir, file)], {
    env: { PATH: process.env["PATH"], WEBHOOK_SECRET: secret, PORT: "0" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(async () => {
    child.kill();
    await rm(dir, { recursive: true, force: true });
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => String((await lines.next()).value);
  const [, port] = /^listening on (\d+)$/.exec(await nextLine()) ?? [];
  return { url: `http://127.0.0.1:${port}/`, nextLine };
}

const languages = [
  ["js", "receiver.mjs", process.execPath],
  ...(hasPython ? [["python", "receiver.py", "python3"] as const] : []),
] as const;

test.each(
  languages.flatMap((language) => [
    [...language, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] as const,
    [...language, "ein ganz gewöhnliches Geheimnis"] as const,
  ]),
)(
  "the %s receiver of docs/webhooks.md accepts what is signed with its secret and nothing else (%s, %s, %s)",
  async (language, file, command, secret) => {
    const there = await run(language, file, command, secret);
    const outbound = guardedOutbound({ allow: ["127.0.0.0/8"] });
    const to = world({ outbound, clock: handClock(Date.now()) });
    await to.start();
    onTestFinished(async () => {
      await to.stop();
      await outbound.close();
    });
    const body = JSON.stringify({ type: "task.succeeded", data: { id: "gewöhnlich-👍" } });
    const good = order({ url: there.url, body, secrets: ["a newer secret", secret] });
    await to.accept([good]);
    await to.notifier.idle();
    expect((await to.stored(good.id)).delivery).toMatchObject({ state: "delivered", attempts: [{ status: 204 }] });
    expect(await there.nextLine()).toBe("task.succeeded gewöhnlich-👍");
    const forged = order({ url: there.url, body, secrets: ["somebody else's"] });
    const unsigned = order({ url: there.url, body });
    await to.accept([forged, unsigned]);
    await to.notifier.idle();
    for (const one of [forged, unsigned]) {
      expect((await to.stored(one.id)).delivery).toMatchObject({ state: "pending", attempts: [{ status: 401 }] });
    }
    // A message that was signed more than five minutes ago, as a replay by a stranger would be.
    const old = world({ outbound, clock: handClock(Date.now() - 301_000) });
    await old.start();
    const late = order({ url: there.url, body, secrets: [secret] });
    await old.accept([late]);
    await old.notifier.idle();
    expect((await old.stored(late.id)).delivery.attempts).toMatchObject([{ status: 401 }]);
    await old.stop();
  },
);

test("the page names the waits of the default rule", () => {
  const rule = webhookRetryRule();
  const waits = Array.from({ length: rule.attempts - 1 }, (_, i) => Math.min(rule.maxMs, rule.delayMs * rule.factor ** i));
  expect(waits.map((ms) => ms / 1_000)).toEqual([5, 30, 180, 1_080, 1.8 * 3_600, 10.8 * 3_600, 16 * 3_600]);
  expect(page).toContain(`tried ${rule.attempts} times in all: again after 5 s, 30 s, 3 min, 18 min, 1.8 h, 10.8 h and 16 h`);
});
