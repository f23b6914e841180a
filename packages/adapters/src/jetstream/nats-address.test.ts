import { expect, test } from "vitest";
import { readNatsAddress } from "./nats-address.ts";

test("one address, several, bare ones and such with credentials are read", () => {
  expect(readNatsAddress("nats://broker:4222")).toEqual({ servers: ["broker:4222"], tls: false });
  expect(readNatsAddress("a, nats://b:5222 ,tls://c")).toEqual({ servers: ["a:4222", "b:5222", "c:4222"], tls: true });
  expect(readNatsAddress("nats://[::1]:4333")).toEqual({ servers: ["[::1]:4333"], tls: false });
  expect(readNatsAddress("nats://me:p%40ss@a,nats://b")).toEqual({
    servers: ["a:4222", "b:4222"],
    tls: false,
    user: "me",
    pass: "p@ss",
  });
  expect(readNatsAddress("nats://t0ken@a")).toEqual({ servers: ["a:4222"], tls: false, token: "t0ken" });
});

test("what is no address is refused without repeating it", () => {
  for (const bad of [
    "",
    " , ",
    "http://me:secret@a",
    "nats://",
    "nats://me:secret@:4222",
    "nats://me:%zz-secret@a",
    "nats://a:99999/secret",
    "a b secret",
  ]) {
    let message = "";
    try {
      readNatsAddress(bad);
    } catch (err) {
      message = String(err);
    }
    expect(message).toContain("nats://host:4222");
    expect(message).not.toContain("secret");
  }
});
