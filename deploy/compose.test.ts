import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { settings } from "@longhaul/shared";
import { beforeAll, expect, test } from "vitest";
import { environmentFile } from "./testing/environment-file.ts";
import { field, fields, items } from "./testing/fields.ts";
import { environmentOf, renderManifests } from "./testing/manifests.ts";
import { composeCheck, type Tool, use } from "./testing/tools.ts";
import { clusterServices, root } from "./testing/workspaces.ts";

const file = join(root, "deploy", "compose.yaml");
const unset = { SECRET_KEY: "", INTERNAL_TOKEN: "", API_KEYS: "", OUTBOUND_ALLOW: "", CORS_ORIGINS: "" };
let tool: Tool;
let keys: Readonly<Record<string, string>>;
let project: unknown;

beforeAll(async () => {
  tool = await composeCheck();
  const made = await promisify(execFile)(join(root, "deploy", "make-env.sh"));
  keys = environmentFile(made.stdout);
  project = JSON.parse(await load(keys));
}, 900_000);

function load(env: Readonly<Record<string, string>>): Promise<string> {
  return use(tool, [file], { env: { ...unset, ...env } });
}

test("without keys of one's own it says how to make them", async () => {
  await expect(load({})).rejects.toThrow(/SECRET_KEY is missing a value: make deploy\/.env first with deploy\/make-env.sh/);
  expect(Object.keys(keys)).toEqual(["SECRET_KEY", "INTERNAL_TOKEN", "API_KEYS", "OUTBOUND_ALLOW"]);
});

test("the four services are built from their Dockerfiles, beside MongoDB and NATS", () => {
  const services = fields(field(project, "services"));
  expect(Object.keys(services).toSorted()).toEqual([...clusterServices, "mongo", "nats"].toSorted());
  for (const name of clusterServices) {
    expect(field(services[name], "build")).toEqual({ context: "..", dockerfile: `deploy/${name}/Dockerfile` });
    expect(existsSync(join(root, "deploy", name, "Dockerfile"))).toBe(true);
  }
});

test("only the gateway can be reached, and only from this machine", () => {
  for (const [name, service] of Object.entries(fields(field(project, "services")))) {
    const ports = items(field(service, "ports")).map((one) => [
      field(one, "host_ip"),
      field(one, "published"),
      field(one, "target"),
    ]);
    expect(ports, name).toEqual(name === "gateway" ? [["127.0.0.1", "8080", 8080]] : []);
    expect(field(service, "network_mode")).toBeUndefined();
  }
});

test("each service has variables that it reads, and all those that a cluster gives it", async () => {
  const example = await renderManifests("overlays/example");
  const table = new Map(Object.entries(settings));
  for (const name of clusterServices) {
    const given = fields(field(project, "services", name, "environment"));
    for (const variable of Object.keys(given)) expect(table.get(variable)?.services, `${variable} for ${name}`).toContain(name);
    const optional = new Set(["NODE_OPTIONS", "PORT", "LOG_LEVEL", "DRAIN_MS", "EXECUTOR_CONCURRENCY"]);
    expect(Object.keys(given)).toEqual(
      expect.arrayContaining(Object.keys(environmentOf(example, name)).filter((one) => !optional.has(one))),
    );
    for (const variable of ["SCHEDULER_URL", "NOTIFIER_URL", "MONGODB_URL", "NATS_URL"]) {
      const value = given[variable];
      if (typeof value === "string") expect(fields(field(project, "services"))).toHaveProperty(new URL(value).hostname);
    }
  }
});

test("a service runs without rights, on a file system that it can't write, and is given time to drain", () => {
  for (const name of clusterServices) {
    expect(field(project, "services", name)).toMatchObject({
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      stop_grace_period: "45s",
      restart: "unless-stopped",
    });
  }
});

test("MongoDB is a replica set with the name that the services expect, and what it holds is kept", () => {
  const mongo = field(project, "services", "mongo");
  const set = new URL(String(field(project, "services", "scheduler", "environment", "MONGODB_URL"))).searchParams.get(
    "replicaSet",
  );
  expect(items(field(mongo, "command"))).toEqual(expect.arrayContaining(["--replSet", set]));
  expect(String(items(field(mongo, "healthcheck", "test")).at(-1))).toContain(`rs.initiate({ _id: "${set}"`);
  expect(items(field(mongo, "volumes")).map((one) => [field(one, "type"), field(one, "target")])).toEqual([
    ["volume", "/data/db"],
  ]);
});
