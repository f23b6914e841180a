import { describe, expect, test } from "vitest";
import { addressGuard } from "./address-guard.ts";

describe("the guard", () => {
  test.each([
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:a00:1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "4000::1",
    "",
    "localhost",
    "127.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
  ])("refuses %s", (address) => {
    expect(addressGuard([])(address)).toEqual({ ok: false });
  });

  test.each([
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "168.63.129.17",
    "223.255.255.255",
  ])("lets %s through", (address) => {
    expect(addressGuard([])(address)).toEqual({ ok: true, address, family: 4 });
  });

  test("lets global IPv6 through, and an IPv4 address inside IPv6 as what it is", () => {
    expect(addressGuard([])("2606:4700:4700::1111")).toEqual({ ok: true, address: "2606:4700:4700::1111", family: 6 });
    expect(addressGuard([])("::ffff:8.8.8.8")).toEqual({ ok: true, address: "8.8.8.8", family: 4 });
  });

  test("allow opens just what it says", () => {
    const judge = addressGuard(["10.1.0.0/16", "::1", "fd00::/8"]);
    expect(["10.1.2.3", "::ffff:10.1.2.3", "::1", "fd12::1"].map((one) => judge(one).ok)).toEqual([true, true, true, true]);
    expect(["10.2.0.1", "127.0.0.1", "::2", "fe80::1"].map((one) => judge(one).ok)).toEqual([false, false, false, false]);
    expect(() => addressGuard(["10.0.0.0/33"])).toThrow(/is not a network/);
    expect(() => addressGuard(["example.com"])).toThrow(/is not a network/);
  });
});
