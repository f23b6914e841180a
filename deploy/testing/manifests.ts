import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { field, fields, items } from "./fields.ts";
import { kustomize, use } from "./tools.ts";
import { root } from "./workspaces.ts";

export interface Manifests {
  /** As rendered. */
  readonly text: string;
  /** Objects of one kind by name. */
  of(kind: string): ReadonlyMap<string, unknown>;
  /** The object of that kind and name. Throws when there is none. */
  get(kind: string, name: string): unknown;
}

/** Renders a kustomization below deploy/kubernetes. */
export async function renderManifests(dir: string): Promise<Manifests> {
  const text = await use(await kustomize(), [join(root, "deploy", "kubernetes", dir)]);
  const objects: readonly unknown[] = parseAllDocuments(text).map((document) => document.toJS());
  const of = (kind: string): ReadonlyMap<string, unknown> =>
    new Map(objects.filter((one) => field(one, "kind") === kind).map((one) => [String(field(one, "metadata", "name")), one]));
  return {
    text,
    of,
    get(kind, name) {
      const found = of(kind).get(name);
      if (found === undefined) throw new Error(`${dir} has no ${kind} ${name}, but ${[...of(kind).keys()].join(", ") || "none"}`);
      return found;
    },
  };
}

/** The container of a service's Deployment. */
export function containerOf(manifests: Manifests, service: string): unknown {
  const containers = items(field(manifests.get("Deployment", `longhaul-${service}`), "spec", "template", "spec", "containers"));
  if (containers.length !== 1) throw new Error(`${service} has ${containers.length} containers`);
  return containers[0];
}

/** The environment that a service's container gets, with ConfigMaps and Secrets looked up. Throws for one that is missing. */
export function environmentOf(manifests: Manifests, service: string): Readonly<Record<string, string>> {
  const env: Record<string, string> = {};
  const container = containerOf(manifests, service);
  for (const source of items(field(container, "envFrom"))) {
    const name = field(source, "configMapRef", "name");
    for (const [key, value] of Object.entries(fields(field(manifests.get("ConfigMap", String(name)), "data"))))
      env[key] = String(value);
  }
  for (const one of items(field(container, "env"))) {
    const name = String(field(one, "name"));
    const ref = field(one, "valueFrom", "secretKeyRef");
    if (ref === undefined) {
      env[name] = String(field(one, "value"));
      continue;
    }
    const data = fields(field(manifests.get("Secret", String(field(ref, "name"))), "data"));
    const value = data[String(field(ref, "key"))];
    if (typeof value !== "string") throw new Error(`the Secret has no ${String(field(ref, "key"))}`);
    env[name] = Buffer.from(value, "base64").toString();
  }
  return env;
}
