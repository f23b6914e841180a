import { Pool } from "undici";

export interface Caller {
  call(path: string, json: string): Promise<string>;
}

const headers = { "content-type": "application/json" };

/** Calls another process of the floor. Rejects unless the answer is 200. */
export function callerOf(base: string): Caller {
  const pool = new Pool(base, { connections: 64, pipelining: 1 });
  return {
    async call(path, json) {
      const answer = await pool.request({ method: "POST", path, headers, body: json });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}: ${text}`);
      return text;
    },
  };
}
