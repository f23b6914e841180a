import type { PayloadStore } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { hostileStrings, type Open, withStore } from "./opened.ts";

/** What every PayloadStore must do. `open` gives a fresh, empty store for each test. */
export function testPayloadStore(name: string, open: Open<PayloadStore>): void {
  describe(`${name} as a PayloadStore`, () => {
    test("payloads come back by key in the order asked, undefined where there is none", () =>
      withStore(open, async (store) => {
        await store.put([
          { key: "a", json: "1" },
          { key: "b", json: '"two"' },
        ]);
        expect(await store.get(["b", "nothing", "a", "b"])).toEqual(['"two"', undefined, "1", '"two"']);
        expect(await store.get([])).toEqual([]);
        expect(await store.put([])).toBeUndefined();
      }));

    test("the same key again is harmless", () =>
      withStore(open, async (store) => {
        const payload = { key: "a", json: JSON.stringify("x".repeat(300_000)) };
        await store.put([payload]);
        await store.put([payload, payload]);
        await Promise.all(Array.from({ length: 20 }, () => store.put([payload])));
        expect(await store.get(["a"])).toEqual([payload.json]);
      }));

    test("payloads of every size come back as they were", () =>
      withStore(open, async (store) => {
        const sizes = [0, 1, 8_191, 8_193, 65_536, 255 * 1_024, 256 * 1_024, 300 * 1_024, 1_048_577];
        const payloads = sizes.map((size) => ({ key: `task/out.${size}`, json: JSON.stringify("ä".repeat(size / 2)) }));
        await store.put(payloads);
        expect(await store.get(payloads.map((one) => one.key))).toEqual(payloads.map((one) => one.json));
      }));

    test("a payload of 16 MiB comes back as it was", () =>
      withStore(open, async (store) => {
        const json = JSON.stringify("0123456789abcdef".repeat(1_048_576));
        await store.put([{ key: "large", json }]);
        const [found] = await store.get(["large"]);
        expect(found?.length).toBe(json.length);
        expect(found === json).toBe(true);
      }));

    test("hostile keys and contents come back as they were", () =>
      withStore(open, async (store) => {
        const keys = hostileStrings.filter((text) => !text.includes("\u0000") && text.length < 100);
        const payloads = keys.map((key) => ({ key: `acme/${key}`, json: JSON.stringify({ [key]: key, list: hostileStrings }) }));
        await store.put(payloads);
        expect(await store.get(payloads.map((one) => one.key))).toEqual(payloads.map((one) => one.json));
      }));

    test("many payloads put at once are all there", () =>
      withStore(open, async (store) => {
        const payloads = Array.from({ length: 300 }, (_, at) => ({
          key: `k${at}`,
          json: JSON.stringify({ at, pad: "p".repeat(9_000) }),
        }));
        await Promise.all(payloads.map((payload) => store.put([payload])));
        expect(await store.get(payloads.map((one) => one.key))).toEqual(payloads.map((one) => one.json));
      }));
  });
}
