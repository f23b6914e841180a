import { createServer } from "node:net";

/** A TCP port of 127.0.0.1 that nothing listens on right now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      server.close(() => (at !== null && typeof at === "object" ? resolve(at.port) : reject(new Error("no port was given"))));
    });
  });
}
