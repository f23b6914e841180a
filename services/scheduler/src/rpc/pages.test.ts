import { afterEach, expect, test } from "vitest";
import { acme, type StartedScheduler, startScheduler } from "../testing/start-scheduler.ts";
import { pageSize, pageToken, parsePageToken } from "./page-token.ts";

let world: StartedScheduler | undefined;
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

test("a token comes back as the place it was made of", () => {
  expect(parsePageToken(pageToken([7, "a/ä"]), ["number", "string"])).toEqual([7, "a/ä"]);
  expect(parsePageToken("", ["number"])).toBeUndefined();
});

test("anything else is refused in a sentence", () => {
  const bad = [
    "x",
    "%%%",
    "a".repeat(2_000),
    pageToken([]),
    pageToken(["a", 1]),
    pageToken([1, "a", 2]),
    Buffer.from("{}").toString("base64url"),
    Buffer.from('[1e400,"a"]').toString("base64url"),
    Buffer.from('[1.5,"a"]').toString("base64url"),
    Buffer.from('[null,"a"]').toString("base64url"),
  ];
  for (const token of bad) expect(() => parsePageToken(token, ["number", "string"])).toThrow("start again without one");
});

test("a page has 1 to 500 entries", () => {
  expect([pageSize(0, 50), pageSize(1, 50), pageSize(500, 50)]).toEqual([50, 1, 500]);
  for (const size of [-1, 501, 2 ** 31 - 1]) expect(() => pageSize(size, 50)).toThrow("1 to 500");
});

test("pages follow each other without a gap or a repeat, also while tasks come in", async () => {
  world = await startScheduler();
  const ids = [];
  for (let i = 0; i < 7; i++) ids.push(await world.accepted());
  const seen: string[] = [];
  let token = "";
  do {
    const page = await world.tasks.list({ pageSize: 3, pageToken: token }, acme);
    expect(page.tasks.length).toBeLessThanOrEqual(3);
    seen.push(...page.tasks.map(({ id }) => id));
    token = page.nextPageToken;
    await world.accepted();
  } while (token !== "");
  expect(seen).toEqual([...ids].reverse());
});

test("a token of another list, or of nobody's, is refused and not guessed at", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  const foreign = pageToken(["name"]);
  await expect(world.tasks.list({ pageToken: foreign }, acme)).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(world.tasks.listNodeRuns({ taskId: id, pageToken: foreign }, acme)).rejects.toMatchObject({
    code: "invalid_argument",
  });
  await expect(world.workflows.listRevisions({ name: "echo", pageToken: foreign }, acme)).rejects.toMatchObject({
    code: "invalid_argument",
  });
  await expect(world.tasks.list({ pageSize: 501 }, acme)).rejects.toMatchObject({ faults: [{ pointer: "/pageSize" }] });
});

test("ids are asked for by the hundred, each once, whatever their case", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  const nothing = "01930000-0000-7000-8000-ffffffffffff";
  const answer = await world.tasks.batchGet({ ids: [id, id.toUpperCase(), nothing] }, acme);
  expect(answer.tasks.map((task) => task.id)).toEqual([id]);
  expect(answer.missing).toEqual([nothing]);
  for (const ids of [[], Array.from({ length: 501 }, () => id)])
    await expect(world.tasks.batchGet({ ids }, acme)).rejects.toMatchObject({
      code: "invalid_argument",
      faults: [{ pointer: "/ids" }],
    });
});

test("a call that names no project is not served", async () => {
  world = await startScheduler();
  await expect(world.tasks.list({})).rejects.toMatchObject({ code: "unauthenticated" });
});
