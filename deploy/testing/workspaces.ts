import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { field, fields } from "./fields.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** The services that make a cluster. */
export const clusterServices = ["gateway", "scheduler", "executor", "notifier"] as const;

/** The services that have an image. */
export const imageServices = [...clusterServices, "solo"] as const;
export type ImageService = (typeof imageServices)[number];

/** Workspaces that some image may need, each after those that it imports. */
const inBuildOrder = [
  "proto",
  "packages/core",
  "packages/shared",
  "packages/workflow",
  "packages/adapters",
  "services/gateway",
  "services/scheduler",
  "services/executor",
  "services/notifier",
  "services/solo",
] as const;

/** Folders of a service's workspaces, its own and all that it needs, in the order in which they can be built. Throws when the order is wrong. */
export function workspacesOf(services: readonly ImageService[]): readonly string[] {
  const byName = new Map(inBuildOrder.map((dir) => [field(manifestOf(dir), "name"), dir]));
  const order: readonly string[] = inBuildOrder;
  const needed = new Set<string>();
  const take = (dir: string): void => {
    if (needed.has(dir)) return;
    needed.add(dir);
    for (const name of Object.keys(fields(field(manifestOf(dir), "dependencies")))) {
      if (!name.startsWith("@longhaul/")) continue;
      const other = byName.get(name);
      if (other === undefined) throw new Error(`${dir} needs ${name}, which deploy/testing/workspaces.ts does not list`);
      if (order.indexOf(other) >= order.indexOf(dir)) throw new Error(`${dir} needs ${other}, which is listed after it`);
      take(other);
    }
  };
  for (const service of services) take(`services/${service}`);
  return inBuildOrder.filter((dir) => needed.has(dir));
}

function manifestOf(dir: string): unknown {
  const path = join(root, dir, "package.json");
  if (!existsSync(path)) throw new Error(`${dir} has no package.json`);
  return JSON.parse(readFileSync(path, "utf8"));
}
