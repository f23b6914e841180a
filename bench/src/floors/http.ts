import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Hands over a request's whole body. */
export function collect(req: IncomingMessage, then: (body: string) => void): void {
  const chunks: Buffer[] = [];
  req.on("data", (chunk: Buffer) => void chunks.push(chunk));
  req.on("end", () => then((chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)).toString()));
}

export function reply(res: ServerResponse, status: number, json: string): void {
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(json) });
  res.end(json);
}

/** Listens on a free port of loopback. */
export async function listen(
  handle: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<{ server: Server; url: string }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { server, url: `http://127.0.0.1:${port}` };
}

/** The seconds of `Prefer: wait=N`, or 0. */
export function waitOf(req: IncomingMessage): number {
  const { prefer } = req.headers;
  return typeof prefer === "string" && prefer.startsWith("wait=") ? Number(prefer.slice(5)) : 0;
}
