// What the examples need of Longhaul's HTTP API: plain fetch, nothing else.
import { readFileSync } from "node:fs";

/** Where Longhaul is, without a slash at the end. */
export const address = process.env.LONGHAUL_URL ?? "http://127.0.0.1:8080";
const key = process.env.LONGHAUL_KEY;

/** Calls the API. Throws an Error that says what the API said. */
export async function call(method, path, { body, type = "application/json", headers = {} } = {}) {
  const auth = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const content = body === undefined ? {} : { "content-type": type };
  const sent = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(address + path, { method, headers: { ...auth, ...content, ...headers }, body: sent }).catch(() => {
    throw new Error(`Longhaul does not answer on ${address}: start it with npm start, or set LONGHAUL_URL`);
  });
  const answer = await response.json();
  if (response.ok) return answer;
  const where = (answer.errors ?? []).map((one) => `\n  ${one.pointer}: ${one.detail ?? one.message}`).join("");
  throw new Error(`${method} ${path}: ${answer.detail}${where}`);
}

/** Stores the workflow that lies beside an example. */
export function putWorkflow(name, file) {
  return call("PUT", `/v1/workflows/${name}`, { body: readFileSync(file, "utf8"), type: "application/yaml" });
}

/** Submits a task and waits for its end, however long that takes. */
export async function run(submit) {
  const task = await call("POST", "/v1/tasks", { body: submit, headers: { prefer: "wait=30" } });
  return isEnded(task) ? task : ended(task.id);
}

/** Waits for the end of a task, however long that takes. */
export async function ended(id) {
  for (;;) {
    const task = await call("GET", `/v1/tasks/${id}`, { headers: { prefer: "wait=30" } });
    if (isEnded(task)) return task;
  }
}

function isEnded(task) {
  return !["queued", "running", "waiting"].includes(task.state);
}
