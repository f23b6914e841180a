import { once } from "node:events";
import { createServer } from "node:http";

/** Starts a small server on a free port of this machine. The handler gets the request and its body as bytes. */
export async function serve(handler) {
  const server = createServer(async (req, res) => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    try {
      await handler(req, res, Buffer.concat(chunks));
    } catch (error) {
      res.writeHead(500).end(String(error));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close().closeAllConnections() };
}
