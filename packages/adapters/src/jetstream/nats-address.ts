import { LonghaulError } from "@longhaul/core";

export interface NatsAddress {
  /** `host:port` each. */
  readonly servers: string[];
  /** True when any address asked for it with `tls://`. */
  readonly tls: boolean;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
}

/**
 * Reads `nats://user:password@host:4222,nats://other` (also `tls://`, bare `host:port`, and `nats://token@host`). The first address with
 * credentials gives them to all, as servers of one cluster share accounts. Throws `invalid_argument`; the message never repeats the text.
 */
export function readNatsAddress(text: string): NatsAddress {
  const urls = text
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "")
    .map(readOne);
  if (urls.length === 0) throw refused("it is empty");
  const named = urls.find((url) => url.username !== "");
  const user = named ? decodeURIComponent(named.username) : undefined;
  const pass = named && named.password !== "" ? decodeURIComponent(named.password) : undefined;
  return {
    servers: urls.map((url) => `${url.hostname}:${url.port === "" ? "4222" : url.port}`),
    tls: urls.some((url) => url.protocol === "tls:"),
    ...(user === undefined ? {} : pass === undefined ? { token: user } : { user, pass }),
  };
}

function readOne(text: string): URL {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `nats://${text}`);
    decodeURIComponent(url.username + url.password);
  } catch {
    throw refused("one part is no address");
  }
  if (url.protocol !== "nats:" && url.protocol !== "tls:") throw refused(`it starts with ${url.protocol}//`);
  if (url.hostname === "") throw refused("a host name is missing");
  return url;
}

function refused(why: string): LonghaulError {
  return new LonghaulError(
    "invalid_argument",
    `the address of NATS can't be used, ${why}; write nats://host:4222 or tls://host:4222, several with commas between`,
  );
}
