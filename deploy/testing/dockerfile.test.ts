import { join } from "node:path";
import { expect, test } from "vitest";
import { dockerIgnore } from "./build-context.ts";
import { readDockerfile } from "./dockerfile.ts";
import { dockerfileOf } from "./dockerfile-of.ts";
import { imageServices, root } from "./workspaces.ts";

test.each(imageServices)("the Dockerfile of %s is as dockerfileOf writes it", async (service) => {
  await expect(dockerfileOf(service)).toMatchFileSnapshot(join(root, "deploy", service, "Dockerfile"));
});

test("stages, arguments and continued lines are read", () => {
  const stages = readDockerfile(
    '# x\nARG IMAGE=base:1\nFROM ${IMAGE} AS a\nRUN one \\\n  # between\n  && two\nFROM a\nCOPY --from=a --chown=1:2 /x /y\nENTRYPOINT ["n", "m"]\n',
  );
  expect(stages).toMatchObject([
    { base: "base:1", name: "a", instructions: [{ kind: "run", command: "one && two" }] },
    {
      base: "a",
      instructions: [
        { kind: "copy", from: "a", chown: "1:2", sources: ["/x"], to: "/y" },
        { kind: "entrypoint", argv: ["n", "m"] },
      ],
    },
  ]);
});

test.each([
  ["FROM a\nADD x y", "line 2: the instruction is not understood"],
  ["RUN x", "before the first FROM"],
  ["FROM ${NOBODY}", "the base is not known"],
  ["FROM a\nCOPY --link x y", "COPY is not understood"],
  ["FROM a\nCOPY x", "COPY is not understood"],
  ["FROM a\nRUN --mount=type=cache x", "only the shell form"],
  ["FROM a\nENTRYPOINT node x", "must have the exec form"],
  ["FROM a\nENV A=$B", "only ENV NAME=value"],
])("%j is refused rather than passed over", (text, why) => {
  expect(() => readDockerfile(text)).toThrow(why);
});

test("of the patterns of .dockerignore that match, the last decides", () => {
  const isIgnored = dockerIgnore("# x\n*\n!packages\n!.npmrc\n**/node_modules\n**/*.test.ts\n");
  const out = ["README.md", "data/longhaul.db", "packages/a/node_modules/b/c.js", "packages/a/src/x.test.ts", "packages-not/x"];
  for (const path of out) expect(isIgnored(path), path).toBe(true);
  for (const path of [".npmrc", "packages/a/src/x.ts", "packages/a/package.json"]) expect(isIgnored(path), path).toBe(false);
});
