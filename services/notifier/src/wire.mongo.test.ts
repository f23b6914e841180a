import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import { IntakeService, IntakeServiceRecordDeliveriesResponseSchema } from "@longhaul/proto/intake_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import { DeliveryState } from "@longhaul/proto/task";
import { pinoLogger, readiness, runParts, serveRpc, serviceClient, serviceTransport, silentLogger } from "@longhaul/shared";
import { freePort, testDatabase } from "@longhaul/testkit";
import { expect, onTestFinished, test } from "vitest";
import { acme, order } from "./testing/world.ts";
import { wire } from "./wire.ts";

const token = "a token of some length";
const secretKey = Buffer.from(new Uint8Array(32).fill(7)).toString("base64");

test("a notifier on MongoDB takes over, sends, reports, shows, replays, and drains on demand", async () => {
  let posted = 0;
  const receiver = createServer((req, res) => {
    req.resume().on("end", () => {
      posted++;
      res.end("ok");
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));

  const standings: unknown[] = [];
  let heard = (): void => {};
  const scheduler = serveRpc({
    host: "127.0.0.1",
    port: 0,
    ready: readiness(),
    log: silentLogger,
    token,
    routes: (router) =>
      router.service(IntakeService, {
        recordDeliveries: (request) => {
          standings.push(...request.standings);
          heard();
          return create(IntakeServiceRecordDeliveriesResponseSchema, { recorded: request.standings.map((one) => one.taskId) });
        },
      }),
  });
  await scheduler.start();

  const port = await freePort();
  const { parts, ...options } = await wire({
    HOST: "127.0.0.1",
    PORT: String(port),
    LOG_LEVEL: "silent",
    MONGODB_URL: testDatabase().url,
    SCHEDULER_URL: `http://127.0.0.1:${scheduler.address().port}`,
    SECRET_KEY: secretKey,
    INTERNAL_TOKEN: token,
    OUTBOUND_ALLOW: "127.0.0.0/8",
  });
  const quit = new AbortController();
  let started = (): void => {};
  const isUp = new Promise<void>((resolve) => (started = resolve));
  const running = runParts(parts, { ...options, log: pinoLogger("silent", "test"), quit: quit.signal, onStarted: started });
  const transport = serviceTransport(`http://127.0.0.1:${port}`, { token });
  onTestFinished(async () => {
    quit.abort();
    await running.catch(() => {});
    transport.close();
    await scheduler.stop();
    receiver.closeAllConnections();
    receiver.close();
  });
  await Promise.race([isUp, running]);

  const accepting = serviceClient(NotifierService, transport);
  const deliveries = serviceClient(DeliveryService, transport);
  const nextReport = (): Promise<void> => new Promise((resolve) => (heard = resolve));
  const one = order({ url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`, secrets: ["s"] });
  const reported = nextReport();
  expect((await accepting.accept({ orders: [one] })).accepted).toEqual([one.id]);
  await reported;
  expect(standings).toMatchObject([{ taskId: one.taskId, state: DeliveryState.DELIVERED, sequence: 1n }]);
  expect((await deliveries.get({ id: one.id }, acme)).delivery).toMatchObject({
    state: DeliveryState.DELIVERED,
    attempts: [{ status: 200 }],
  });
  expect((await deliveries.list({ taskId: one.taskId }, acme)).deliveries).toHaveLength(1);
  const replayed = (await deliveries.replay({ id: one.id }, acme)).delivery;
  expect(replayed?.state).toBe(DeliveryState.PENDING);
  while (posted < 2 || standings.length < 2) await nextReport();
  await expect(deliveries.get({ id: "nothing" }, acme)).rejects.toMatchObject({ code: "delivery_not_found" });

  const stranger = serviceTransport(`http://127.0.0.1:${port}`);
  await expect(serviceClient(NotifierService, stranger).accept({ orders: [one] })).rejects.toThrow();
  stranger.close();

  quit.abort();
  await running;
});
