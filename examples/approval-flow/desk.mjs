import { serve } from "../shared/serve.mjs";

/**
 * A desk where questions arrive and somebody answers: `decide(question)` gives the answer, or undefined for none. `answered` lists the answers
 * and the links by which they were given.
 */
export async function openDesk(decide) {
  const answered = [];
  const server = await serve((_req, res, body) => {
    // Answered first: people take their time, and the node that asks must not wait for them.
    res.writeHead(202).end();
    const { link, ...question } = JSON.parse(body.toString());
    const answer = decide(question);
    if (answer === undefined) return;
    answered.push({ link, answer });
    useLink(link, answer).catch((error) => console.error(error.message));
  });
  return { ...server, answered };
}

/** Uses a resume link: needs no key, works once. */
export function useLink(link, answer) {
  return fetch(link, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(answer) });
}
