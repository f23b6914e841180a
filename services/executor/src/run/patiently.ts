import { LonghaulError } from "@longhaul/core";
import type { Hold } from "./hold.ts";
import { sleep } from "./sleep.ts";

const firstPauseMs = 100;
const longestPauseMs = 2_000;

/** Asks until it is answered or the task is stopped: a scheduler that is away says nothing against the task, and heartbeats keep it meanwhile. */
export async function patiently<T>(hold: Hold, ask: () => T | Promise<T>, asked: T | Promise<T> = ask()): Promise<T> {
  let answer = asked;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      return await answer;
    } catch (why) {
      const isPassing = why instanceof LonghaulError && (why.code === "unavailable" || why.code === "deadline_exceeded");
      if (!isPassing) throw why;
    }
    await sleep(pauseMs, hold.abort.signal);
    answer = ask();
  }
}
