import { BlockList, isIP } from "node:net";
import { LonghaulError } from "@longhaul/core";

export type AddressVerdict = { readonly ok: true; readonly address: string; readonly family: 4 | 6 } | { readonly ok: false };

const closedIpv4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier NAT, and some clouds' services
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // Azure's metadata and DNS
  "169.254.0.0/16", // link-local, and the metadata of most clouds
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments, and Oracle's metadata
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
];
// Only global unicast is open, so that every way to write an IPv4 address into an IPv6 one outside of it is closed by itself.
const openIpv6 = ["2000::/3"];
const closedIpv6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/**
 * Decides which addresses may be dialled: public ones, and those in `allow` (CIDRs, or bare addresses). An IPv4 address inside an IPv6 one
 * is judged, and dialled, as what it is. Throws `invalid_argument` for a malformed entry of `allow`.
 */
export function addressGuard(allow: readonly string[]): (address: string) => AddressVerdict {
  const closed4 = listOf(closedIpv4);
  const open6 = listOf(openIpv6);
  const closed6 = listOf(closedIpv6);
  const excepted = listOf(allow);
  return (given) => {
    const address = unmapped(given);
    switch (isIP(address)) {
      case 4:
        return excepted.check(address, "ipv4") || !closed4.check(address, "ipv4")
          ? { ok: true, address, family: 4 }
          : { ok: false };
      case 6: {
        const isOpen = open6.check(address, "ipv6") && !closed6.check(address, "ipv6");
        return excepted.check(address, "ipv6") || isOpen ? { ok: true, address, family: 6 } : { ok: false };
      }
      default:
        return { ok: false };
    }
  };
}

function listOf(cidrs: readonly string[]): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [address = "", bits] = cidr.split("/");
    const family = isIP(address);
    const prefix = bits === undefined ? (family === 6 ? 128 : 32) : Number(bits);
    if (family === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > (family === 6 ? 128 : 32)) {
      throw new LonghaulError("invalid_argument", `${JSON.stringify(cidr)} is not a network such as 10.0.0.0/8 or fd00::/8`);
    }
    list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

/** `::ffff:7f00:1`, however it is written, as `127.0.0.1`; every other address as it is. */
function unmapped(address: string): string {
  if (isIP(address) !== 6 || !URL.canParse(`http://[${address}]`)) return address;
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const halves = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (!halves) return short;
  const bits = Number.parseInt(halves[1] ?? "", 16) * 65_536 + Number.parseInt(halves[2] ?? "", 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join(".");
}
