// node python-worker/run.mjs [text]   counts the words of a text with a worker in Python
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { address, putWorkflow, run } from "../shared/longhaul.mjs";

const here = import.meta.dirname;
const proto = join(here, "../../proto");
const cache = join(here, "../../.cache/python-worker");
const python = join(cache, "venv/bin/python");
const stubs = join(cache, "stubs");

let worker;
try {
  makeStubs();
  await putWorkflow("python-worker", join(here, "workflow.yaml"));
  worker = spawn(python, [join(here, "worker.py"), new URL(address).host], {
    env: { ...process.env, PYTHONPATH: stubs },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const text = process.argv[2] ?? "the quick brown fox jumps over the lazy dog";
  const task = await run({ workflow: "python-worker", input: { text } });
  if (task.state !== "succeeded") throw new Error(`the task ended as ${task.state}: ${task.error?.message}`);
  const { words, commonest, ok } = task.output;
  console.log(`${words} words, most often "${commonest}"${ok ? "" : "; too many"}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  worker?.kill();
}

/** A Python with grpcio, and the stubs of the contract made by its own protoc. Takes a minute the first time. */
function makeStubs() {
  mkdirSync(stubs, { recursive: true });
  const requirements = join(here, "requirements.txt");
  const done = join(cache, "installed");
  if (!existsSync(done)) {
    const sayWhat = { stdio: ["ignore", "ignore", "inherit"] };
    execFileSync("python3", ["-m", "venv", join(cache, "venv")], sayWhat);
    execFileSync(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements], sayWhat);
    writeFileSync(done, "");
  }
  // Of what protoc does not bring along, only the annotations that say how methods look over HTTP.
  const annotations = join(dirname(createRequire(import.meta.url).resolve("protobufjs/package.json")), "google/api");
  const includes = join(cache, "include/google/api");
  mkdirSync(includes, { recursive: true });
  for (const name of ["annotations.proto", "http.proto"]) copyFileSync(join(annotations, name), join(includes, name));
  execFileSync(python, [
    "-m",
    "grpc_tools.protoc",
    `-I${proto}`,
    `-I${join(cache, "include")}`,
    `--python_out=${stubs}`,
    `--grpc_python_out=${stubs}`,
    "longhaul/v1/worker_service.proto",
    "google/api/annotations.proto",
    "google/api/http.proto",
  ]);
}
