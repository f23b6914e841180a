import { DeliveryService } from "@longhaul/proto/delivery_service";
import { IntakeService } from "@longhaul/proto/intake_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { readiness, runParts, serveRpc, silentLogger } from "@longhaul/shared";
import { expect, test } from "vitest";
import { backends } from "./backends.ts";
import { readConfig } from "./config.ts";
import { fakeBackends } from "./testing/fake-backends.ts";
import { startGateway } from "./testing/start-gateway.ts";
import { wireGateway } from "./wire.ts";

const env = { SCHEDULER_URL: "http://127.0.0.1:1", NOTIFIER_URL: "http://127.0.0.1:2", INTERNAL_TOKEN: "0123456789abcdef" };

test("the configuration names everything that is missing, and asks for keys off loopback", () => {
  expect(() => readConfig({})).toThrow(/INTERNAL_TOKEN.*SCHEDULER_URL|SCHEDULER_URL.*INTERNAL_TOKEN/s);
  expect(() => readConfig({ ...env, INTERNAL_TOKEN: "short" })).toThrow(/at least 16 characters/);
  expect(() => readConfig({ ...env, HOST: "0.0.0.0" })).toThrow(/API_KEYS/);
  expect(readConfig({ ...env, HOST: "0.0.0.0", API_KEYS: "acme=lh_0123456789abcdef" })).toMatchObject({
    port: 8080,
    apiKeys: [{ project: "acme" }],
  });
});

test("the gateway reaches scheduler and notifier at their addresses, with the token, and says so in readyz", async () => {
  const token = "0123456789abcdef";
  const fake = fakeBackends();
  const ready = readiness();
  ready.set(true);
  const scheduler = serveRpc({
    host: "127.0.0.1",
    port: 0,
    ready,
    log: silentLogger,
    token,
    routes: (router) => {
      router.service(TaskService, fake.tasks);
      router.service(WorkflowService, fake.workflows);
      router.service(IntakeService, fake.intake);
    },
  });
  const notifier = serveRpc({
    host: "127.0.0.1",
    port: 0,
    ready,
    log: silentLogger,
    token,
    routes: (router) => void router.service(DeliveryService, fake.deliveries),
  });
  await scheduler.start();
  await notifier.start();
  const config = readConfig({
    SCHEDULER_URL: `http://127.0.0.1:${scheduler.address().port}`,
    NOTIFIER_URL: `http://127.0.0.1:${notifier.address().port}`,
    INTERNAL_TOKEN: token,
  });
  const { clients, reach, part } = backends(config);
  {
    await using early = await startGateway({ clients, reach: async () => false, fake });
    expect((await fetch(`${early.url}/readyz`)).status).toBe(503);
  }
  {
    await using gateway = await startGateway({ clients, reach, fake });
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    const made = await fetch(`${gateway.url}/v1/tasks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"workflow":"echo","input":[1]}',
    });
    expect(made.status).toBe(202);
    const path = made.headers.get("location") ?? "";
    expect((await fetch(gateway.url + path)).status).toBe(200);
    expect(await (await fetch(`${gateway.url}${path}/events`)).text()).toMatch(/event: end/);
    expect((await fetch(`${gateway.url}${path}/deliveries`)).status).toBe(200);
    await scheduler.stop();
    const away = await fetch(gateway.url + path);
    expect([away.status, away.headers.get("retry-after")]).toEqual([503, "1"]);
    // Callers are told to come back, which takes a gateway that is still reached.
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    expect(await away.text()).not.toContain("127.0.0.1");
    const overConnect = await fetch(`${gateway.url}/longhaul.v1.TaskService/List`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(overConnect.status).toBe(503);
    expect(await overConnect.text()).not.toContain("127.0.0.1");
    const refused = await fetch(`${gateway.url}/v1/tasks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"workflow":"echo"}',
    });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(gateway.errors).toEqual([]);
  }
  await part.stop();
  await notifier.stop();
});

test("a gateway made from the environment starts, drains and stops", async () => {
  const quit = new AbortController();
  const { parts, ...options } = wireGateway({ ...env, PORT: "0", LOG_LEVEL: "silent" });
  await runParts(parts, { ...options, quit: quit.signal, onStarted: () => quit.abort() });
  expect(options.ready?.isReady()).toBe(false);
});

test("calls under way finish while the port drains", async () => {
  const fake = fakeBackends();
  let answer = (): void => {};
  let arrived = (): void => {};
  const here = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  fake.tasks.list = async () => {
    arrived();
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return { tasks: [] };
  };
  await using gateway = await startGateway({ fake });
  const listing = fetch(`${gateway.url}/v1/tasks`);
  await here;
  const drained = gateway.drain();
  await expect(fetch(`${gateway.url}/livez`)).rejects.toThrow();
  answer();
  expect((await listing).status).toBe(200);
  await drained;
});

test("a drain cuts long polls short: they answer the present state", async () => {
  const fake = fakeBackends();
  let arrived = (): void => {};
  const here = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  fake.tasks.get = async (request, context) => {
    if (request.wait) {
      arrived();
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    }
    const task = fake.stored.get(request.id);
    return task ? { task } : {};
  };
  await using gateway = await startGateway({ fake });
  const submit = (headers: Record<string, string>) =>
    fetch(`${gateway.url}/v1/tasks`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: '{"workflow":"echo"}',
    });
  const path = (await submit({})).headers.get("location") ?? "";
  const polled = fetch(gateway.url + path, { headers: { prefer: "wait=60" } });
  const submitted = submit({ prefer: "wait=60" });
  await here;
  await expect.poll(() => fake.stored.size).toBe(2);
  const drained = gateway.drain();
  expect((await polled).status).toBe(200);
  expect((await submitted).status).toBe(202);
  await drained;
});
