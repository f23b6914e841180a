import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { protoFolders } from "./grpc-clients.ts";

const run = promisify(execFile);
const requirements = ["grpcio==1.85.1", "grpcio-tools==1.85.1"];

/** A Python with grpcio and stubs made by its own protoc, in a folder that is kept between runs. */
export async function pythonWithStubs(): Promise<{ readonly python: string; readonly stubs: string }> {
  const folder = fileURLToPath(new URL("../../.cache/python-grpc/", import.meta.url));
  const python = join(folder, "venv", "bin", "python");
  const stubs = join(folder, "stubs");
  const done = join(folder, `done-${requirements.join("-").replaceAll(/[^a-z0-9.-]/g, "")}`);
  if (!existsSync(done)) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(stubs, { recursive: true });
    await orSay(
      run("python3", ["-m", "venv", join(folder, "venv")]),
      "a Python client is part of the tests: install Python 3.9 or newer with venv (Debian: apt-get install python3 python3-venv)",
    );
    await orSay(
      run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...requirements], { timeout: 170_000 }),
      `pip could not install ${requirements.join(" and ")}: a Python package index must be reachable`,
    );
    await writeFile(done, "");
  }
  // Always anew: the contract may have changed since.
  // Only google.api: protoc has the rest of its own, which it does not take in the form that others give it.
  const [ours, theirs] = protoFolders;
  const api = join(folder, "include", "google", "api");
  await mkdir(api, { recursive: true });
  for (const name of ["annotations.proto", "http.proto"]) await copyFile(join(theirs, "google", "api", name), join(api, name));
  const files = ["options", "task", "task_service", "workflow_service"].map((name) => `longhaul/v1/${name}.proto`);
  await run(python, [
    "-m",
    "grpc_tools.protoc",
    `-I${ours}`,
    `-I${join(folder, "include")}`,
    `--python_out=${stubs}`,
    `--grpc_python_out=${stubs}`,
    ...files,
    "google/api/annotations.proto",
    "google/api/http.proto",
  ]);
  return { python, stubs };
}

/** Runs a program and answers the JSON it prints. */
export async function runPython(
  { python, stubs }: { readonly python: string; readonly stubs: string },
  program: string,
  args: readonly string[],
): Promise<unknown> {
  const { stdout } = await run(python, ["-c", program, ...args], {
    env: { PYTHONPATH: stubs, PATH: process.env["PATH"], GRPC_VERBOSITY: "NONE" },
    timeout: 60_000,
  });
  return JSON.parse(stdout);
}

async function orSay(work: Promise<unknown>, sentence: string): Promise<void> {
  try {
    await work;
  } catch (cause) {
    throw new Error(sentence, { cause });
  }
}
