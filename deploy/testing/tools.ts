import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { field } from "./fields.ts";
import { root } from "./workspaces.ts";

const run = promisify(execFile);
const bin = join(root, ".cache", "bin");

/** A program and the arguments that always come first. */
export interface Tool {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a tool to its end and answers its stdout. Rejects with what it said. */
export async function use(
  tool: Tool,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  try {
    const env = { ...process.env, ...tool.env, ...options.env };
    const done = await run(tool.command, [...tool.args, ...args], { cwd: options.cwd ?? root, env, maxBuffer: 67_108_864 });
    return done.stdout;
  } catch (error) {
    throw new Error(`${tool.command} ${args.join(" ")}: ${said(error)}`);
  }
}

/** kustomize 5: on PATH, fetched earlier, inside kubectl, or from Go's module proxy. */
export async function kustomize(): Promise<Tool> {
  for (const command of ["kustomize", join(bin, "kustomize")]) {
    if (/v5\./.test(await answer(command, ["version"]))) return { command, args: ["build"] };
  }
  if (/v5\./.test(await answer("kubectl", ["version", "--client"]))) return { command: "kubectl", args: ["kustomize"] };
  const advice =
    "install kustomize 5 or kubectl 1.27 or newer so that it is on PATH, or Go 1.24 or newer, with which it can be fetched";
  const command = join(bin, "kustomize");
  await goMake("kustomize", () => ["install", "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"], command, { advice });
  return { command, args: ["build"] };
}

/** The loader that Docker Compose uses, as a program: checks a file, fills in variables, and prints what results. */
export async function composeCheck(): Promise<Tool> {
  const source = join(root, "deploy", "testing", "compose-check");
  const digest = createHash("sha256");
  for (const name of ["main.go", "go.sum"]) digest.update(await readFile(join(source, name)));
  const command = join(bin, `compose-check-${digest.digest("hex").slice(0, 12)}`);
  if (!existsSync(command)) {
    const advice = "install Go 1.24 or newer so that `go` is on PATH: compose files are checked with compose-go";
    await goMake("compose-check", (dir) => ["build", "-o", join(dir, "compose-check"), "."], command, { cwd: source, advice });
  }
  return { command, args: [] };
}

/** kubernetes-validate, which brings the schemas of Kubernetes along. */
export async function kubernetesValidate(): Promise<Tool> {
  const advice =
    "install Python 3.9 or newer with pip so that `python3 -m pip` works: manifests are checked with kubernetes-validate from PyPI";
  const version = (await answer("python3", ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])).trim();
  if (version === "") throw new Error(`Python is missing: ${advice}`);
  const dir = join(root, ".cache", `kubernetes-validate-1.37-py${version}`);
  const tool = { command: "python3", args: ["-m", "kubernetes_validate"], env: { PYTHONPATH: dir } };
  const isThere = async (): Promise<boolean> =>
    use(tool, ["--version"]).then(
      () => true,
      () => false,
    );
  if (await isThere()) return tool;
  await mkdir(join(root, ".cache"), { recursive: true });
  const fresh = await mkdtemp(join(root, ".cache", "pip-"));
  try {
    await run(
      "python3",
      ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", fresh, "kubernetes-validate==1.37.0"],
      { timeout: 600_000 },
    );
    await rm(dir, { recursive: true, force: true });
    await rename(fresh, dir);
  } catch (error) {
    throw new Error(`kubernetes-validate could not be fetched (${said(error)}): ${advice}`);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return tool;
}

/** Lets Go make a program in a folder, and moves it to its place when it is whole. */
async function goMake(
  made: string,
  args: (dir: string) => readonly string[],
  to: string,
  { cwd = root, advice }: { readonly cwd?: string; readonly advice: string },
): Promise<void> {
  await mkdir(bin, { recursive: true });
  const dir = await mkdtemp(join(bin, ".make-"));
  try {
    await run("go", [...args(dir)], { cwd, env: { ...process.env, GOBIN: dir, GOFLAGS: "" }, timeout: 900_000 });
    await rename(join(dir, made), to);
  } catch (error) {
    throw new Error(`${made} is needed and could not be made (${said(error)}): ${advice}`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** What a program says; nothing when it can't be run. */
async function answer(command: string, args: readonly string[]): Promise<string> {
  return run(command, [...args], { timeout: 60_000 }).then(
    (done) => `${done.stdout}${done.stderr}`,
    () => "",
  );
}

function said(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const output = ["stdout", "stderr"].map((name) => String(field(error, name) ?? "").trim()).filter((text) => text !== "");
  return output.length === 0 ? error.message : output.join("\n").slice(-2_000);
}
