import { executorSubject, type Json, type Live, partitionSubject, taskSubject } from "@longhaul/core";
import { describe, expect, test } from "vitest";

/** Two ends of the same live subjects; in one process they may be one object. */
export interface OpenedLive {
  readonly here: Live;
  readonly there: Live;
  close(): Promise<void>;
}

/** Opens two ends that nobody else uses; called once per test. */
export type OpenLive = () => Promise<OpenedLive>;

function listener() {
  const messages: Json[] = [];
  let waiting: { count: number; resolve: () => void }[] = [];
  return {
    messages,
    hear: (message: Json) => {
      messages.push(message);
      for (const one of waiting) if (messages.length >= one.count) one.resolve();
      waiting = waiting.filter((one) => messages.length < one.count);
    },
    until: (count: number) =>
      new Promise<void>((resolve) => {
        if (messages.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
  };
}

/** Resolves when everything that `from` published before has arrived at `at`: one connection keeps its order. */
async function fence(from: Live, at: Live): Promise<void> {
  const heard = listener();
  const subscription = at.subscribe("fence", heard.hear);
  await subscription.ready;
  from.publish("fence", null);
  await heard.until(1);
  subscription.close();
}

/** What live subjects must do, whatever carries them. */
export function testLive(name: string, open: OpenLive): void {
  describe(`${name} live`, () => {
    const check = (fact: string, body: (opened: OpenedLive) => Promise<void>): void => {
      test(fact, async () => {
        const opened = await open();
        try {
          await body(opened);
        } finally {
          await opened.close();
        }
      });
    };

    check("once a subscription is ready every later message arrives, in order", async ({ here, there }) => {
      const heard = listener();
      const subscription = there.subscribe("a.b", heard.hear);
      await subscription.ready;
      for (let n = 0; n < 200; n++) here.publish("a.b", n);
      await heard.until(200);
      expect(heard.messages).toEqual(Array.from({ length: 200 }, (_, n) => n));
      subscription.close();
    });

    check("any JSON arrives as it was sent", async ({ here, there }) => {
      const heard = listener();
      const subscription = there.subscribe("json", heard.hear);
      await subscription.ready;
      const sent: Json[] = [
        null,
        true,
        0,
        -1.5,
        "",
        "ünïcødé \u0000 \ud83d\ude00 \r\n",
        [],
        [1, [2]],
        {},
        { a: { b: [null] } },
        "x".repeat(100_000),
      ];
      for (const message of sent) here.publish("json", message);
      await heard.until(sent.length);
      expect(heard.messages).toEqual(sent);
      subscription.close();
    });

    check("only the very subject is heard", async ({ here, there }) => {
      const heard = listener();
      const subscription = there.subscribe(taskSubject(3, "t1"), heard.hear);
      await subscription.ready;
      for (const other of [
        taskSubject(3, "t2"),
        taskSubject(4, "t1"),
        executorSubject("t1"),
        partitionSubject(3),
        "task.3",
        "task.3.t1.x",
      ]) {
        here.publish(other, "other");
      }
      here.publish(taskSubject(3, "t1"), "mine");
      await heard.until(1);
      await fence(here, there);
      expect(heard.messages).toEqual(["mine"]);
      subscription.close();
    });

    check("every listener of a subject hears each message, at both ends", async ({ here, there }) => {
      const all = [listener(), listener(), listener()];
      const ends = [here, there, there];
      const subscriptions = all.map((one, at) => (ends[at] ?? here).subscribe("shared", one.hear));
      await Promise.all(subscriptions.map((one) => one.ready));
      here.publish("shared", 1);
      there.publish("shared", 2);
      await Promise.all(all.map((one) => one.until(2)));
      for (const one of all) expect([...one.messages].sort()).toEqual([1, 2]);
      for (const one of subscriptions) one.close();
    });

    check("a closed subscription hears nothing more, the others of its subject still do", async ({ here, there }) => {
      const gone = listener();
      const stays = listener();
      const first = there.subscribe("s", gone.hear);
      const second = there.subscribe("s", stays.hear);
      await Promise.all([first.ready, second.ready]);
      here.publish("s", 1);
      await Promise.all([gone.until(1), stays.until(1)]);
      first.close();
      first.close();
      here.publish("s", 2);
      await stays.until(2);
      expect(gone.messages).toEqual([1]);
      second.close();
      const back = listener();
      const third = there.subscribe("s", back.hear);
      await third.ready;
      here.publish("s", 3);
      await back.until(1);
      expect(back.messages).toEqual([3]);
      expect(stays.messages).toEqual([1, 2]);
      third.close();
    });

    check("a listener that throws harms neither the others nor later messages", async ({ here, there }) => {
      const heard = listener();
      const bad = there.subscribe("s", () => {
        throw new Error("broken listener");
      });
      const good = there.subscribe("s", heard.hear);
      await Promise.all([bad.ready, good.ready]);
      here.publish("s", 1);
      here.publish("s", 2);
      await heard.until(2);
      expect(heard.messages).toEqual([1, 2]);
      bad.close();
      good.close();
    });

    check("a listener may close itself and publish from within a message", async ({ here, there }) => {
      const heard = listener();
      const echo = here.subscribe("echo", heard.hear);
      const once = there.subscribe("ping", (message) => {
        once.close();
        there.publish("echo", message);
      });
      await Promise.all([echo.ready, once.ready]);
      here.publish("ping", "first");
      here.publish("ping", "second");
      await heard.until(1);
      await fence(here, there);
      await fence(there, here);
      expect(heard.messages).toEqual(["first"]);
      echo.close();
    });

    check("publish never calls a listener before it returns", async ({ here }) => {
      const heard = listener();
      const subscription = here.subscribe("s", heard.hear);
      await subscription.ready;
      here.publish("s", 1);
      expect(heard.messages).toEqual([]);
      await heard.until(1);
      subscription.close();
    });

    check("publish never throws, whatever the subject, and nobody hears it", async ({ here, there }) => {
      const heard = listener();
      const subscription = there.subscribe("s", heard.hear);
      await subscription.ready;
      for (const bad of ["", "*", ">", "s.*", "a b", "s\r\nPUB s 1", ".s", "s.", "s..t", "$SYS.x"]) here.publish(bad, 1);
      await fence(here, there);
      expect(heard.messages).toEqual([]);
      subscription.close();
    });

    check("a subject with wildcards, spaces or nothing in it can't be subscribed to", async ({ here }) => {
      for (const bad of ["", "*", ">", "task.>", "a b", "a\r\nb", ".a", "a.", "a..b"]) {
        expect(() => here.subscribe(bad, () => {})).toThrow("dot-separated");
      }
    });

    check("thousands of subjects can be listened to at a time", async ({ here, there }) => {
      const heard = listener();
      const subscriptions = Array.from({ length: 3_000 }, (_, n) => there.subscribe(taskSubject(n % 64, `t${n}`), heard.hear));
      await Promise.all(subscriptions.map((one) => one.ready));
      for (let n = 0; n < 3_000; n++) here.publish(taskSubject(n % 64, `t${n}`), n);
      await heard.until(3_000);
      expect(new Set(heard.messages).size).toBe(3_000);
      for (const one of subscriptions) one.close();
    });
  });
}
