import { createConnection } from "node:net";
import { MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { mongoServer } from "./mongo-server.ts";
import { natsServer } from "./nats-server.ts";
import { testDatabase, testNats } from "./shared-servers.ts";

test("the shared MongoDB takes transactions, and each test has its own database", async () => {
  const [one, two] = [testDatabase(), testDatabase()];
  expect(one.name).not.toBe(two.name);
  const client = await MongoClient.connect(one.url);
  try {
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await client.db().collection("c").insertOne({ a: 1 }, { session });
      }),
    );
    expect(client.db().databaseName).toBe(one.name);
    expect(await client.db().collection("c").countDocuments()).toBe(1);
    await client.db().dropDatabase();
  } finally {
    await client.close();
  }
});

test("a MongoDB killed and started again keeps what was journaled", async () => {
  const server = await mongoServer();
  try {
    const first = await MongoClient.connect(server.urlOf("kept"));
    await first
      .db()
      .collection("c")
      .insertOne({ a: 1 }, { writeConcern: { w: "majority", j: true } });
    await first.close();
    await server.kill();
    await server.restart();
    const second = await MongoClient.connect(server.urlOf("kept", { direct: true }));
    expect(await second.db().collection("c").countDocuments()).toBe(1);
    await second.close();
  } finally {
    await server.stop();
  }
});

const hello = (url: string) =>
  new Promise<string>((resolve, reject) => {
    const { port, hostname } = new URL(url);
    const socket = createConnection(Number(port), hostname);
    socket.once("data", (chunk) => {
      socket.destroy();
      resolve(chunk.toString());
    });
    socket.once("error", reject);
  });

test("the shared NATS has JetStream, and each test its own prefix", async () => {
  const [one, two] = [testNats(), testNats()];
  expect(one.prefix).not.toBe(two.prefix);
  expect(await hello(one.url)).toMatch(/^INFO .*"jetstream":true/);
});

test("a NATS server can be killed, wiped and started again on its port", async () => {
  const server = await natsServer();
  try {
    await expect(server.wipe()).rejects.toThrow(/kill\(\) it before/);
    await server.kill();
    await expect(hello(server.url)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await server.wipe();
    await server.restart();
    expect(await hello(server.url)).toMatch(/^INFO /);
  } finally {
    await server.stop();
  }
});
