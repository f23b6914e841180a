import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "./workspaces.ts";

const run = promisify(execFile);

/** Paths of what an engine would be sent: what git knows or would add, without what .dockerignore leaves out. */
export async function buildContext(): Promise<readonly string[]> {
  const listed = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    maxBuffer: 67_108_864,
  });
  const isIgnored = dockerIgnore(await readFile(join(root, ".dockerignore"), "utf8"));
  const paths = listed.stdout.split("\0").filter((path) => path !== "" && !isIgnored(path));
  // git lists what has been deleted and not yet committed as well.
  const areThere = await Promise.all(
    paths.map((path) =>
      stat(join(root, path)).then(
        (found) => found.isFile(),
        () => false,
      ),
    ),
  );
  return paths.filter((_, index) => areThere[index]);
}

/** Whether a path is left out: of all patterns that match it, or a folder it lies in, the last decides. */
export function dockerIgnore(text: string): (path: string) => boolean {
  const rules = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({ keeps: line.startsWith("!"), pattern: asRegExp(line.replace(/^!/, "").replace(/^\/|\/$/g, "")) }));
  return (path) => {
    const folders = path.split("/").map((_, index, parts) => parts.slice(0, index + 1).join("/"));
    return rules.reduce((out, { keeps, pattern }) => (folders.some((one) => pattern.test(one)) ? !keeps : out), false);
  };
}

function asRegExp(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((part) => {
      if (part === "**/") return "(?:.*/)?";
      if (part === "**") return ".*";
      if (part === "*") return "[^/]*";
      if (part === "?") return "[^/]";
      return part.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&");
    })
    .join("");
  return new RegExp(`^${source}$`);
}
