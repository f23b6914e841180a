import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { spawnNode } from "./spawn-node.ts";
import { watchProcess } from "./watched-process.ts";

const dirs: string[] = [];
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});
async function program(name: string, text: string) {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-testkit-"));
  dirs.push(dir);
  const path = join(dir, name);
  await writeFile(path, text);
  return path;
}
const server = `
  process.on("SIGTERM", () => { console.log("draining"); process.exit(7); });
  console.log("listening as " + process.env.NAME + " home " + process.env.HOME);
  setInterval(() => {}, 1000);
`;

test("a program runs with just the environment given, says its lines, and ends by signal", async () => {
  const child = spawnNode(await program("main.mjs", server), { NAME: "x" });
  expect(await child.ready(/listening/)).toBe("listening as x home undefined");
  expect(await child.line(/listening/)).toContain("x");
  const drained = child.line(/draining/);
  expect(await child.kill()).toEqual({ code: 7, signal: null });
  await drained;
  expect(child.output()).toContain("draining");
});

test("a TypeScript entry runs from source with the packages of this repository", async () => {
  const child = spawnNode(new URL("fixture.ts", import.meta.url).pathname, {});
  expect(await child.ready(/code/)).toBe("code conflict");
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

test("a program that ends early rejects whoever waits for it, with its output", async () => {
  const child = spawnNode(await program("bad.mjs", 'console.error("no config"); process.exit(3)'));
  await expect(child.ready(/listening/)).rejects.toThrow(/ended with 3 before it said \/listening\/:\nno config/);
  await expect(child.line(/listening/)).rejects.toThrow(/has ended/);
});

test("a program that does not exist rejects too", async () => {
  const child = watchProcess("/no/such/program", []);
  await expect(child.line(/x/)).rejects.toThrow(/ENOENT/);
  expect(await child.exited).toEqual({ code: null, signal: null });
});

test("a frozen program does nothing until it is thawed", async () => {
  const text = 'process.on("SIGUSR2", () => console.log("got it")); console.log("up"); setInterval(() => {}, 1000);';
  const child = spawnNode(await program("main.mjs", text));
  await child.ready(/up/);
  child.freeze();
  process.kill(child.pid, "SIGUSR2");
  expect(child.output()).not.toContain("got it");
  child.thaw();
  await child.line(/got it/);
  expect(await child.kill("SIGKILL")).toEqual({ code: null, signal: "SIGKILL" });
});

test("killing the parent with SIGKILL takes the program and its folder along", async () => {
  const watched = new URL("watched-process.ts", import.meta.url).href;
  const folder = await mkdtemp(join(tmpdir(), "longhaul-testkit-"));
  dirs.push(folder);
  const parent = await program(
    "parent.ts",
    `import { watchProcess } from ${JSON.stringify(watched)};
     const child = watchProcess(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { remove: [${JSON.stringify(folder)}] });
     console.log("child " + child.pid);
     setInterval(() => {}, 1000);`,
  );
  const child = spawnNode(parent);
  const pid = Number((await child.ready(/child \d+/)).split(" ")[1]);
  await child.kill("SIGKILL");
  // The guard removes the folder after the program, so once it is gone both are.
  await expect
    .poll(
      () =>
        access(folder).then(
          () => "there",
          () => "gone",
        ),
      { timeout: 10_000 },
    )
    .toBe("gone");
  await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
