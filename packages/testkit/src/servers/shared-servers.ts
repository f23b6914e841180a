import { randomBytes } from "node:crypto";
import { mongoServer } from "./mongo-server.ts";
import { natsServer } from "./nats-server.ts";

// The run's own servers are told to its test processes by the same variables with which others can be given.
const mongoVariable = "MONGODB_TEST_URL";
const natsVariable = "NATS_TEST_URL";

/**
 * For Vitest's `globalSetup`: gives the run one MongoDB and one NATS, unless the environment names running ones (MONGODB_TEST_URL,
 * NATS_TEST_URL). Resolves with what stops them.
 */
export async function startSharedServers(): Promise<() => Promise<void>> {
  const env = process.env;
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(stops.splice(0).map((one) => one()));
  };
  const started = await Promise.allSettled([
    (async () => {
      if (env[mongoVariable]) return;
      const server = await mongoServer({ say });
      env[mongoVariable] = server.url;
      stops.push(async () => {
        delete env[mongoVariable];
        await server.stop();
      });
    })(),
    (async () => {
      if (env[natsVariable]) return;
      const server = await natsServer({ say });
      env[natsVariable] = server.url;
      stops.push(async () => {
        delete env[natsVariable];
        await server.stop();
      });
    })(),
  ]);
  for (const one of started) {
    if (one.status === "fulfilled") continue;
    await stop();
    throw one.reason;
  }
  return stop;
}

/** A database of the shared MongoDB that no other test uses. It goes away with the server; against a given server, drop it. */
export function testDatabase(): { readonly url: string; readonly name: string } {
  const name = `longhaul_test_${randomBytes(6).toString("hex")}`;
  const url = new URL(given(mongoVariable));
  url.pathname = `/${name}`;
  return { url: url.href, name };
}

/** The shared NATS, with a prefix for streams and subjects that no other test uses. */
export function testNats(): { readonly url: string; readonly prefix: string } {
  return { url: given(natsVariable), prefix: `T${randomBytes(6).toString("hex")}` };
}

function given(variable: string): string {
  const value = process.env[variable];
  if (!value)
    throw new Error(
      `${variable} is not set: this test belongs to the Vitest project \`servers\` or \`system\`, which starts the servers`,
    );
  return value;
}
