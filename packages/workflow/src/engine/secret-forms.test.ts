import type { Json } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { objectOf } from "../expression/json-object.ts";
import { Vault } from "./redact-secrets.ts";
import { secretForms } from "./secret-forms.ts";

const value = 's3cr3t/"quoted" & ünïcode+more\\';
const vault = new Vault([], { KEY: value });

test.each([
  ["itself", value],
  ["JSON", JSON.stringify({ key: value })],
  ["JSON with escaped slashes", JSON.stringify({ key: value }).replaceAll("/", "\\/")],
  ["JSON in JSON", JSON.stringify({ body: JSON.stringify({ key: value }) })],
  ["JSON in JSON in JSON", JSON.stringify(JSON.stringify(JSON.stringify(value)))],
  ["a path", `https://a.test/${encodeURIComponent(value)}/x`],
  ["a URL", encodeURI(`https://a.test/?q=${value}`)],
  ["a URL in lower case", encodeURIComponent(value).replaceAll(/%../g, (code) => code.toLowerCase())],
  ["a form", new URLSearchParams({ a: "1", key: value }).toString()],
  ["base64", Buffer.from(value).toString("base64")],
  ["base64url", Buffer.from(value).toString("base64url")],
  ["a basic credential", Buffer.from(`user:${value}`).toString("base64")],
  ["a basic credential with one letter more", Buffer.from(`users:${value}`).toString("base64")],
  ["a basic credential that goes on", Buffer.from(`me:${value}:and more`).toString("base64")],
  ["hex", Buffer.from(value).toString("hex")],
])("a value is found in %s", (_, text) => {
  expect(vault.isIn(text)).toBe(true);
  expect(vault.text(text)).toContain("[secret]");
  expect(vault.isIn(vault.text(text))).toBe(false);
});

test("a value whose spaces are trimmed, and every line of a long one, counts too", () => {
  const pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASC\n-----END KEY-----\n";
  const own = new Vault([], { A: "  spaced-out  ", PEM: pem });
  expect(own.text("got spaced-out!")).toBe("got [secret]!");
  expect(own.text("line 2: kiG9w0BAQEFAASC")).toBe("line 2: [secret]");
  expect(own.text(JSON.stringify(pem))).toBe('"[secret]"');
});

test("what is short is not looked for, and nothing is looked for where there are no secrets", () => {
  expect(secretForms("12345")).toEqual([]);
  expect(new Vault([], { PIN: "12345" }).text("12345")).toBe("12345");
  expect(new Vault().isEmpty).toBe(true);
  const error = new Error("x");
  expect(new Vault().thrown(error)).toBe(error);
});

test("the beginning of a value at the end of a cut text goes too", () => {
  const own = new Vault([], { KEY: "sk-abcdefghijklmnop" });
  expect(own.text("the server said: key sk-abcdefghi")).toBe("the server said: key [secret]");
  expect(own.text("the server said: key sk-abcdefghi...")).toBe("the server said: key [secret]...");
  expect(own.text("the server said: key sk-abcdefghi…")).toBe("the server said: key [secret]…");
  expect(own.text("sk-abc sk-abcdefgh and more")).toBe("sk-abc sk-abcdefgh and more");
  const long = new Vault([], { KEY: "sk-abcdefghijklmnopqrstuvw" });
  expect(long.text("key sk-abcdefghijklm (cut), sk-abcdefghijk, sk-abcd")).toBe("key [secret] (cut), [secret], [secret]");
});

test("numbers and keys are values as well", () => {
  const own = new Vault([], { PIN: "987654321" });
  expect(own.json({ pin: 987654321, "987654321": [true, null, 5, { x: "pin 987654321" }] })).toEqual({
    pin: "[secret]",
    "[secret]": [true, null, 5, { x: "pin [secret]" }],
  });
});

test("a stream in pieces of any size tells no value, and everything that is none", () => {
  fc.assert(
    fc.property(
      fc
        .string({ minLength: 6, maxLength: 30, unit: "grapheme-ascii" })
        .filter((text) => text.trim().length >= 6 && !/[[\]]|secret/.test(text)),
      fc.array(fc.string({ maxLength: 20, unit: "grapheme-ascii" }), { maxLength: 3 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
      (secret, around, sizes) => {
        const text = `${around.join(secret)} the end, with no value behind it`;
        const own = new Vault([], { KEY: secret });
        const { tell, rest } = own.teller();
        let told = "";
        let at = 0;
        for (let i = 0; at < text.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          told += textOf(tell({ text: text.slice(at, at + size) }));
          at += size;
        }
        told += textOf(rest());
        expect(told).not.toContain(secret);
        if (around.length > 1 && !own.isIn(`${around.join("|")}the end`)) expect(told).toContain("[secret]");
      },
    ),
  );
  const { tell, rest } = new Vault([], { KEY: "sk-abcdefghijklmnop" }).teller();
  expect(["a s", "k-abcdefg", "hijklmnop b", { x: [1, "sk-abcdefghijklmnop"] }].map((delta) => tell(delta))).toEqual([
    "a ",
    undefined,
    "[secret] b",
    { x: [1, "[secret]"] },
  ]);
  expect([tell("no key s"), rest(), rest()]).toEqual(["no key ", "s", undefined]);
  expect([tell("half a key sk-abcdef"), rest()]).toEqual(["half a key ", "[secret]"]);
});

function textOf(delta: Json | undefined): string {
  const { text = "" } = objectOf(delta) as { readonly text?: Json };
  return String(text);
}
