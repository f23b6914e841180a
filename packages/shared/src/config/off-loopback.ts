import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/** Whether only this machine can reach what listens on `host`. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const family = isIP(bare);
  if (family === 0) return bare === "localhost";
  return loopback.check(bare, family === 4 ? "ipv4" : "ipv6");
}

/**
 * What must be set before listening on `host` is safe: one sentence per variable that is missing, none on loopback.
 * `given` says of each variable that the rule covers whether it is set.
 */
export function requireOffLoopback(host: string, given: Readonly<Record<string, boolean>>): readonly string[] {
  if (isLoopbackHost(host)) return [];
  return Object.entries(given)
    .filter(([, isSet]) => !isSet)
    .map(([name]) => `HOST is ${host}, which others can reach: set ${name} as well, or listen on 127.0.0.1`);
}
