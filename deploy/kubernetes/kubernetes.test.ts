import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Setting, settings } from "@longhaul/shared";
import { beforeAll, describe, expect, test } from "vitest";
import { user } from "../testing/dockerfile-of.ts";
import { field, fields, items } from "../testing/fields.ts";
import { containerOf, environmentOf, type Manifests, renderManifests } from "../testing/manifests.ts";
import { kubernetesValidate, use } from "../testing/tools.ts";
import { clusterServices } from "../testing/workspaces.ts";

let base: Manifests;
let example: Manifests;
beforeAll(async () => {
  base = await renderManifests("base");
  example = await renderManifests("overlays/example");
}, 900_000);

const table: ReadonlyMap<string, Setting> = new Map(Object.entries(settings));
const readersOf = (name: string): readonly string[] => (table.get(name)?.services ?? []).filter((one) => one !== "solo");

/** Kubernetes' own words for sizes, in MiB. */
function mebibytes(size: unknown): number {
  const [, number, unit] = /^(\d+)(Mi|Gi)$/.exec(String(size)) ?? [];
  return Number(number) * (unit === "Gi" ? 1_024 : 1);
}

/** The services that a policy names as peers in one direction. */
function peersOf(service: string, direction: "ingress" | "egress"): readonly string[] {
  const rules = items(field(base.get("NetworkPolicy", `longhaul-${service}`), "spec", direction));
  return rules
    .flatMap((rule) => items(field(rule, direction === "ingress" ? "from" : "to")))
    .map((peer) => field(peer, "podSelector", "matchLabels", "app.kubernetes.io/component"))
    .filter((name) => typeof name === "string")
    .toSorted();
}

describe("against the schemas of Kubernetes", () => {
  let validator: Awaited<ReturnType<typeof kubernetesValidate>>;
  beforeAll(async () => {
    validator = await kubernetesValidate();
  }, 600_000);

  async function validate(text: string): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), "longhaul-manifests-"));
    try {
      const path = join(dir, "manifests.yaml");
      await writeFile(path, text);
      // The oldest version that the documentation names, and a new one.
      return await use(validator, ["-k", "1.30", "-k", "1.37", "--strict", path]);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  test("every object is valid, without an unknown field", async () => {
    for (const manifests of [base, example]) {
      const said = await validate(manifests.text);
      expect(said.match(/passed/g)).toHaveLength(2 * (manifests.text.match(/^kind: /gm) ?? []).length);
    }
  });

  test("a misspelt field would be noticed", async () => {
    const broken = base.text.replace("terminationGracePeriodSeconds", "terminationGraceSeconds");
    await expect(validate(broken)).rejects.toThrow(/terminationGraceSeconds/);
  });
});

describe.each(clusterServices)("%s", (service) => {
  const name = `longhaul-${service}`;
  const podOf = (manifests: Manifests): unknown => field(manifests.get("Deployment", name), "spec", "template", "spec");

  test("has one of each object, selected by the same labels", () => {
    const labels = { "app.kubernetes.io/name": "longhaul", "app.kubernetes.io/component": service };
    const deployment = base.get("Deployment", name);
    expect(field(deployment, "spec", "selector", "matchLabels")).toEqual(labels);
    expect(field(deployment, "spec", "template", "metadata", "labels")).toMatchObject(labels);
    expect(field(base.get("Service", name), "spec", "selector")).toEqual(labels);
    expect(field(base.get("PodDisruptionBudget", name), "spec")).toMatchObject({
      selector: { matchLabels: labels },
      maxUnavailable: 1,
    });
    expect(field(base.get("NetworkPolicy", name), "spec", "podSelector", "matchLabels")).toEqual(labels);
    const spread = items(field(podOf(base), "topologySpreadConstraints"));
    expect(spread.map((one) => field(one, "topologyKey"))).toEqual(["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
    for (const one of spread) expect(field(one, "labelSelector", "matchLabels")).toEqual(labels);
  });

  test("its account and its pod carry no token", () => {
    expect(field(podOf(base), "serviceAccountName")).toBe(name);
    expect(field(base.get("ServiceAccount", name), "automountServiceAccountToken")).toBe(false);
    expect(podOf(base)).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
  });

  test("meets the restricted pod security standard and writes nowhere", () => {
    for (const manifests of [base, example]) {
      const pod = podOf(manifests);
      expect(field(pod, "securityContext")).toMatchObject({
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        seccompProfile: { type: "RuntimeDefault" },
      });
      expect(field(containerOf(manifests, service), "securityContext")).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      for (const forbidden of ["initContainers", "volumes", "hostNetwork", "hostPID", "hostIPC"])
        expect(field(pod, forbidden)).toBeUndefined();
    }
  });

  test("is probed on its port, by path", () => {
    const container = containerOf(base, service);
    expect(field(container, "ports")).toEqual([{ name: "http", containerPort: 8080, protocol: "TCP" }]);
    expect(environmentOf(example, service)["PORT"]).toBe("8080");
    for (const [probe, path] of [
      ["startupProbe", "/livez"],
      ["livenessProbe", "/livez"],
      ["readinessProbe", "/readyz"],
    ] as const) {
      expect(field(container, probe, "httpGet")).toEqual({ path, port: "http" });
    }
  });

  test("may drain as long as it wants to before it is killed", () => {
    const pauseSeconds = Number(field(containerOf(base, service), "lifecycle", "preStop", "sleep", "seconds"));
    const drainSeconds = Number(environmentOf(example, service)["DRAIN_MS"]) / 1_000;
    expect(Number(field(podOf(base), "terminationGracePeriodSeconds"))).toBeGreaterThan(pauseSeconds + drainSeconds + 10);
  });

  test("asks for what it needs, and its heap leaves a third of the memory to the rest", () => {
    const resources = field(containerOf(base, service), "resources");
    expect(field(resources, "requests")).toEqual({ cpu: expect.any(String), memory: expect.any(String) });
    const limit = mebibytes(field(resources, "limits", "memory"));
    expect(field(resources, "limits", "cpu")).toEqual(expect.any(String));
    expect(mebibytes(field(resources, "requests", "memory"))).toBeLessThanOrEqual(limit);
    const heap = Number(/^--max-old-space-size=(\d+)$/.exec(environmentOf(example, service)["NODE_OPTIONS"] ?? "")?.[1]);
    expect(heap).toBeLessThanOrEqual((limit * 2) / 3);
  });

  test("is given only variables that it reads, and secrets only from the Secret", () => {
    const given = environmentOf(example, service);
    for (const variable of Object.keys(given).filter((one) => one !== "NODE_OPTIONS")) {
      expect(table.get(variable)?.services, `${variable} for ${service}`).toContain(service);
    }
    const secrets = items(field(containerOf(base, service), "env")).filter((one) => field(one, "valueFrom") !== undefined);
    const named = secrets.map((one) => String(field(one, "name")));
    for (const one of secrets)
      expect(field(one, "valueFrom", "secretKeyRef")).toEqual({ name: "longhaul", key: field(one, "name") });
    for (const variable of Object.keys(given)) {
      if (table.get(variable)?.secret) expect(named, `${variable} is secret`).toContain(variable);
    }
  });

  test("runs twice in the example, from an image with a version", () => {
    expect(field(example.get("Deployment", name), "spec", "replicas")).toBe(2);
    expect(field(containerOf(example, service), "image")).toMatch(new RegExp(`/${service}:\\d+\\.\\d+\\.\\d+$`));
  });
});

test("the addresses in the ConfigMaps are those of the Services", () => {
  for (const service of clusterServices) {
    const { SCHEDULER_URL, NOTIFIER_URL } = environmentOf(example, service);
    for (const address of [SCHEDULER_URL, NOTIFIER_URL]) {
      if (address === undefined) continue;
      const { hostname, port } = new URL(address);
      expect(items(field(base.get("Service", hostname), "spec", "ports")).map((one) => String(field(one, "port")))).toContain(
        port,
      );
    }
  }
});

test("every address of scheduler and notifier is seen by their callers, while the gateway has one of its own", () => {
  for (const service of ["scheduler", "notifier", "executor"])
    expect(field(base.get("Service", `longhaul-${service}`), "spec", "clusterIP")).toBe("None");
  expect(field(base.get("Service", "longhaul-gateway"), "spec", "clusterIP")).toBeUndefined();
});

test("those may call each other that are told each other's address, and nobody else", () => {
  expect(peersOf("scheduler", "ingress")).toEqual(readersOf("SCHEDULER_URL").toSorted());
  expect(peersOf("notifier", "ingress")).toEqual(readersOf("NOTIFIER_URL").toSorted());
  expect(field(base.get("NetworkPolicy", "longhaul-executor"), "spec", "ingress") ?? []).toEqual([]);
  expect(field(base.get("NetworkPolicy", "longhaul-gateway"), "spec", "ingress")).toEqual([
    { ports: [{ port: 8080, protocol: "TCP" }] },
  ]);
  for (const service of clusterServices) {
    const called = [
      readersOf("SCHEDULER_URL").includes(service) && "scheduler",
      readersOf("NOTIFIER_URL").includes(service) && "notifier",
    ];
    expect(peersOf(service, "egress")).toEqual(called.filter((one) => one !== false).toSorted());
    expect(field(base.get("NetworkPolicy", `longhaul-${service}`), "spec", "policyTypes")).toEqual(["Ingress", "Egress"]);
  }
});

test("nothing that calls the world may call the metadata service of the cloud", () => {
  for (const service of clusterServices) {
    for (const rule of items(field(base.get("NetworkPolicy", `longhaul-${service}`), "spec", "egress"))) {
      for (const peer of items(field(rule, "to"))) {
        const block = field(peer, "ipBlock");
        if (block !== undefined) expect(field(block, "except")).toHaveLength(1);
      }
    }
  }
});

test("the base brings no Secret, so that nothing starts with a key that others know", () => {
  expect(base.of("Secret").size).toBe(0);
  expect([...example.of("Secret").values()].flatMap((one) => Object.values(fields(field(one, "data"))))).toEqual(
    Array(5).fill(Buffer.from("replace-me").toString("base64")),
  );
});
