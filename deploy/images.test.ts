import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, natsServer, testDatabase, type WatchedProcess, watchProcess } from "@longhaul/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Builder, type Image, imageBuilder } from "./testing/build-image.ts";
import { user } from "./testing/dockerfile-of.ts";
import { environmentFile } from "./testing/environment-file.ts";
import { field } from "./testing/fields.ts";
import { environmentOf, type Manifests, renderManifests } from "./testing/manifests.ts";
import { clusterServices, type ImageService, imageServices, root, workspacesOf } from "./testing/workspaces.ts";

type Env = Readonly<Record<string, string>>;

const images = new Map<ImageService, Image>();
const running: WatchedProcess[] = [];
let builder: Builder;
let example: Manifests;
let keys: Env;

beforeAll(async () => {
  builder = await imageBuilder();
  const made = await Promise.all(
    imageServices.map(async (one) => [one, await builder.build(`deploy/${one}/Dockerfile`)] as const),
  );
  for (const [service, image] of made) images.set(service, image);
  example = await renderManifests("overlays/example");
  keys = environmentFile((await promisify(execFile)(join(root, "deploy", "make-env.sh"))).stdout);
}, 900_000);

afterAll(async () => {
  await Promise.all(running.map((one) => one.kill("SIGKILL")));
  await builder?.close();
});

function imageOf(service: ImageService): Image {
  const image = images.get(service);
  if (!image) throw new Error(`${service} was not built`);
  return image;
}

/** Starts an image as a container would be: its environment and this, its folder, its user where this process may choose one. */
function start(service: ImageService, env: Env): WatchedProcess {
  const image = imageOf(service);
  const [command = "", ...args] = image.argv;
  const [uid = "", gid = ""] = image.user.split(":");
  const asUser = process.getuid?.() === 0 && existsSync("/usr/bin/setpriv");
  const become = asUser ? ["/usr/bin/setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs"] : [];
  const [first = "", ...rest] = [...become, command === "node" ? process.execPath : command, ...args];
  const made = watchProcess(first, rest, { cwd: join(image.dir, image.workdir), env: { ...image.env, ...env } });
  running.push(made);
  return made;
}

async function call(url: string, init: RequestInit = {}): Promise<{ readonly status: number; readonly body: unknown }> {
  const answer = await fetch(url, init);
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.includes("json");
  return { status: answer.status, body: isJson ? JSON.parse(text) : text };
}

/** Puts a workflow and runs a task of it to its end. */
async function runTask(base: string): Promise<unknown> {
  const authorization = `Bearer ${(keys["API_KEYS"] ?? "").split("=")[1]}`;
  const definition = { name: "hello", nodes: [{ id: "greet", kind: "transform", with: { text: "Hello, ${ input.name }!" } }] };
  const headers = { authorization, "content-type": "application/json" };
  const put = await call(`${base}/v1/workflows/hello`, { method: "PUT", headers, body: JSON.stringify(definition) });
  expect(put, JSON.stringify(put.body)).toMatchObject({ status: 200 });
  const body = JSON.stringify({ workflow: "hello", input: { name: "world" } });
  const task = await call(`${base}/v1/tasks`, { method: "POST", headers: { ...headers, prefer: "wait=30" }, body });
  return field(task.body, "state");
}

/** Waits until a service says that it is ready. */
async function ready(base: string): Promise<void> {
  await expect.poll(async () => (await call(`${base}/readyz`)).status, { timeout: 30_000 }).toBe(200);
}

test.each(imageServices)(
  "the image of %s holds what the service needs, and neither sources, tests nor tools",
  async (service) => {
    const app = join(imageOf(service).dir, "app");
    const paths = await readdir(app, { recursive: true });
    const own = workspacesOf([service]);
    expect(paths.filter((path) => /^(proto|packages\/[^/]+|services\/[^/]+)\/dist$/.test(path)).toSorted()).toEqual(
      own.map((dir) => `${dir}/dist`).toSorted(),
    );
    expect(
      paths.filter((path) =>
        /(^|\/)(src|gen|\.git|data\/.*)$|\.test\.[jt]s$|^\.env/.test(path.replace(/^(.*\/)?node_modules\/(?!@longhaul).*/, "")),
      ),
    ).toEqual([]);
    for (const tool of ["typescript", "vitest", "turbo", "@biomejs", "tsx", "knip"])
      expect(paths).not.toContain(`node_modules/${tool}`);
    expect(imageOf(service)).toMatchObject({
      user: `${user}:${user}`,
      ports: ["8080"],
      argv: ["node", `services/${service}/dist/main.js`],
    });
  },
);

test.each(clusterServices)("%s refuses to start on the example's placeholders and names each", async (service) => {
  const container = start(service, environmentOf(example, service));
  expect((await container.exited).code).toBe(1);
  const secret = Object.entries(environmentOf(example, service)).filter(([, value]) => value === "replace-me");
  for (const [name] of secret) expect(container.output()).toContain(name);
});

test("the four images, with the environment of their Deployments, run a task and end with 0 when told to", async () => {
  const nats = await natsServer();
  try {
    const ports = new Map(await Promise.all(clusterServices.map(async (one) => [one, await freePort()] as const)));
    const url = (service: (typeof clusterServices)[number]): string => `http://127.0.0.1:${ports.get(service)}`;
    const here: Env = {
      ...keys,
      MONGODB_URL: testDatabase().url,
      NATS_URL: nats.url,
      SCHEDULER_URL: url("scheduler"),
      NOTIFIER_URL: url("notifier"),
    };
    const containers = clusterServices.map((service) => {
      const wanted = environmentOf(example, service);
      // Only what the Deployment gives, so that a variable that it lacks is missed here too.
      const given = Object.entries(here).filter(([name]) => name in wanted);
      return start(service, { ...wanted, ...Object.fromEntries(given), PORT: String(ports.get(service)) });
    });
    await Promise.all(
      containers.map((one) => one.line(/gateway listens|scheduler listens|executor takes tickets|notifier listens/)),
    );
    for (const service of clusterServices) {
      expect((await call(`${url(service)}/livez`)).status).toBe(200);
      await ready(url(service));
    }
    expect(await runTask(url("gateway"))).toBe("succeeded");
    for (const one of containers) expect(await one.kill("SIGTERM"), one.output()).toEqual({ code: 0, signal: null });
  } finally {
    await nats.stop();
  }
});

test("the image of solo keeps its tasks in /data and nowhere else", async () => {
  const image = imageOf("solo");
  expect(image).toMatchObject({ volumes: ["/data"], env: { DATA_DIR: "/data" } });
  expect(await readdir(join(image.dir, "data"))).toEqual([]);
  // Stands for the volume: an engine gives it the owner that the image names, here everybody may write.
  const volume = await mkdtemp(join(tmpdir(), "longhaul-volume-"));
  try {
    await chmod(volume, 0o777);
    const port = await freePort();
    const env = { ...keys, DATA_DIR: volume, PORT: String(port) };
    for (const _ of ["a first time", "again, on the same data"]) {
      const container = start("solo", env);
      await container.line(/Longhaul listens on/);
      await ready(`http://127.0.0.1:${port}`);
      expect(await runTask(`http://127.0.0.1:${port}`)).toBe("succeeded");
      expect(await container.kill("SIGTERM"), container.output()).toEqual({ code: 0, signal: null });
    }
    expect(await readdir(volume)).toContain("longhaul.db");
  } finally {
    await rm(volume, { recursive: true, force: true });
  }
});

test("solo does not start without keys where others can reach it", async () => {
  const container = start("solo", {});
  expect((await container.exited).code).toBe(1);
  expect(container.output()).toMatch(/SECRET_KEY[\s\S]*API_KEYS|API_KEYS[\s\S]*SECRET_KEY/);
});
