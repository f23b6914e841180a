import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { LonghaulError } from "@longhaul/core";

/** What a resume token stands for: it hands one value to one node of one task. */
export interface ResumeFacts {
  readonly project: string;
  readonly taskId: string;
  /** Path of the node. */
  readonly node: string;
  /** It can't be used from then on; milliseconds since the epoch. */
  readonly expireTime: number;
}

/** The keys that sign resume tokens: one per task, so that an executor can sign for the tasks that it holds and for no others. */
export interface ResumeKeys {
  /** Signs tokens of this task; 32 bytes. */
  keyOf(project: string, taskId: string): Uint8Array;
  /** Reads a token; undefined for everything that was not signed by one of our keys. It does not look at the expiry. */
  read(token: string): ResumeFacts | undefined;
}

const version = 1;
/** Version, the task's UUID, the expiry (48 bits of milliseconds), the length of the project's name. */
const headBytes = 1 + 16 + 6 + 1;
const macBytes = 32;
/** Longer than any token that we make; what is longer is not even decoded. */
const maxTokenLength = 4_096;

/** Keys derived from the secret keys. The first one signs, every one verifies, as with sealed secrets. */
export function resumeKeys(secretKeys: readonly Uint8Array[]): ResumeKeys {
  const roots = secretKeys.map((key) => Buffer.from(hkdfSync("sha256", key, "", "longhaul resume tokens", 32)));
  const [first] = roots;
  if (first === undefined) throw new LonghaulError("invalid_argument", "at least one secret key is needed; SECRET_KEY holds it");
  return {
    keyOf: (project, taskId) => taskKey(first, project, taskId),
    read(token) {
      const bytes = decode(token);
      if (bytes === undefined) return undefined;
      const body = bytes.subarray(0, -macBytes);
      const facts = factsOf(body);
      if (facts === undefined) return undefined;
      const mac = bytes.subarray(-macBytes);
      // Every key is tried, in the same time whichever fits.
      const fits = roots.filter((root) => timingSafeEqual(mac, macOf(taskKey(root, facts.project, facts.taskId), body)));
      return fits.length > 0 ? facts : undefined;
    },
  };
}

/** A token in base64url, signed with the task's key. Throws `invalid_argument` for a task id that is no UUID. */
export function resumeToken(key: Uint8Array, facts: ResumeFacts): string {
  const id = Buffer.from(facts.taskId.replaceAll("-", ""), "hex");
  const project = Buffer.from(facts.project);
  if (id.length !== 16 || project.length > 255)
    throw new LonghaulError("invalid_argument", "a resume token needs a task's UUID and a project's name");
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(version, 0);
  id.copy(head, 1);
  head.writeUIntBE(Math.max(0, Math.min(facts.expireTime, 2 ** 48 - 1)), 17, 6);
  head.writeUInt8(project.length, 23);
  const body = Buffer.concat([head, project, Buffer.from(facts.node)]);
  return Buffer.concat([body, macOf(key, body)]).toString("base64url");
}

/** Where a token is used, below the address by which the gateway is reached from outside. */
export function resumeUrl(publicUrl: string, token: string): string {
  return `${publicUrl}/v1/resume/${token}`;
}

function decode(token: string): Buffer | undefined {
  if (token.length > maxTokenLength || !/^[A-Za-z0-9_-]+$/.test(token)) return undefined;
  const bytes = Buffer.from(token, "base64url");
  // Only one spelling of a token is one: bits that mean nothing must not make another.
  if (bytes.toString("base64url") !== token) return undefined;
  return bytes.length > headBytes + macBytes && bytes[0] === version ? bytes : undefined;
}

function factsOf(body: Buffer): ResumeFacts | undefined {
  const behind = headBytes + body.readUInt8(23);
  if (behind >= body.length) return undefined;
  const hex = body.toString("hex", 1, 17);
  return {
    taskId: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
    expireTime: body.readUIntBE(17, 6),
    project: body.toString("utf8", headBytes, behind),
    node: body.toString("utf8", behind),
  };
}

function taskKey(root: Uint8Array, project: string, taskId: string): Buffer {
  return createHmac("sha256", root).update(`${project}\0${taskId}`).digest();
}

function macOf(key: Uint8Array, body: Uint8Array): Buffer {
  return createHmac("sha256", key).update(body).digest();
}
