import { spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, posix } from "node:path";
import { buildContext } from "./build-context.ts";
import { type Instruction, readDockerfile, type Stage } from "./dockerfile.ts";
import { root } from "./workspaces.ts";

/** A folder that stands for an image's file system, and how to start what it holds. */
export interface Image {
  /** The image's `/`. Whatever the base image brings, Node above all, is that of this machine. */
  readonly dir: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly argv: readonly string[];
  readonly volumes: readonly string[];
  readonly ports: readonly string[];
}

export interface Builder {
  /** Carries out a Dockerfile of this repository: COPY from what git knows, RUN by bash. Rejects with the output of a line that fails. */
  build(dockerfile: string): Promise<Image>;
  /** Removes every folder. */
  close(): Promise<void>;
}

type Built = Omit<Image, "argv"> & { readonly argv: readonly string[] | undefined; readonly key: string };

/** Builds images as an engine would, in empty folders. Stages with the same text are carried out once; two RUN lines run at a time. */
export async function imageBuilder(): Promise<Builder> {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-images-"));
  // Started as another user, images must be able to get here.
  await chmod(dir, 0o755);
  const context = await buildContext();
  const stages = new Map<string, Promise<Built>>();
  const runLine = atMost(2);

  function stageOf(stage: Stage, earlier: ReadonlyMap<string, Promise<Built>>): Promise<Built> {
    const needed = [stage.base, ...stage.instructions.map((one) => (one.kind === "copy" ? one.from : undefined))];
    const used = new Map(
      needed.flatMap((name) => {
        const found = name && earlier.get(name);
        return name && found ? [[name, found] as const] : [];
      }),
    );
    return (async () => {
      const froms = new Map<string, Built>();
      for (const [name, built] of used) froms.set(name, await built);
      const key = JSON.stringify([
        froms.get(stage.base)?.key ?? stage.base,
        stage.instructions.map((one) => [one.text, one.kind === "copy" && one.from ? froms.get(one.from)?.key : ""]),
      ]);
      const made = stages.get(key) ?? carryOut(stage, froms, key);
      stages.set(key, made);
      return made;
    })();
  }

  async function carryOut(stage: Stage, froms: ReadonlyMap<string, Built>, key: string): Promise<Built> {
    const at = await mkdtemp(join(dir, "stage-"));
    await chmod(at, 0o755);
    const base = froms.get(stage.base);
    if (base) await copyTree(base.dir, at);
    let image: Built = base
      ? { ...base, dir: at, key }
      : { dir: at, key, workdir: "/", env: {}, user: "0", argv: undefined, volumes: [], ports: [] };
    for (const one of stage.instructions) image = await step(image, one, froms);
    return image;
  }

  async function step(image: Built, one: Instruction, froms: ReadonlyMap<string, Built>): Promise<Built> {
    const inside = (path: string): string => posix.resolve(image.workdir, path);
    switch (one.kind) {
      case "workdir":
        await mkdir(join(image.dir, inside(one.path)), { recursive: true });
        return { ...image, workdir: inside(one.path) };
      case "env":
        return { ...image, env: { ...image.env, ...one.vars } };
      case "user":
        return { ...image, user: one.user };
      case "entrypoint":
        return { ...image, argv: one.argv };
      case "volume":
        return { ...image, volumes: [...image.volumes, one.path] };
      case "expose":
        return { ...image, ports: [...image.ports, one.port] };
      case "run":
        await runLine(() => bash(one.command, join(image.dir, image.workdir), image.env));
        return image;
      case "copy": {
        const to = join(image.dir, inside(one.to));
        const isFolder = one.to.endsWith("/") || one.sources.length > 1;
        for (const source of one.sources) {
          if (one.from === undefined) await copyFromContext(source, to, isFolder);
          else {
            const from = froms.get(one.from);
            if (!from) throw new Error(`COPY --from=${one.from}: no such stage`);
            const path = join(from.dir, source);
            await copyTree(path, isFolder && !(await stat(path)).isDirectory() ? join(to, basename(source)) : to);
          }
        }
        return image;
      }
    }
  }

  async function copyFromContext(source: string, to: string, isFolder: boolean): Promise<void> {
    const files = context.filter((path) => path === source || path.startsWith(`${source}/`));
    if (files.length === 0) throw new Error(`COPY ${source}: git knows no such file, or .dockerignore leaves it out`);
    for (const path of files) {
      const target = path !== source ? join(to, path.slice(source.length)) : isFolder ? join(to, basename(path)) : to;
      await mkdir(dirname(target), { recursive: true });
      await cp(join(root, path), target);
    }
  }

  return {
    async build(dockerfile) {
      const byName = new Map<string, Promise<Built>>();
      let last: Promise<Built> | undefined;
      for (const stage of readDockerfile(await readFile(join(root, dockerfile), "utf8"))) {
        last = stageOf(stage, byName);
        // Awaited by whoever needs it; until then its failure is nobody's.
        last.catch(() => {});
        if (stage.name) byName.set(stage.name, last);
      }
      const image = await last;
      if (!image?.argv) throw new Error(`${dockerfile} has no ENTRYPOINT`);
      return { ...image, argv: image.argv };
    },
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

function copyTree(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, verbatimSymlinks: true });
}

function bash(command: string, cwd: string, env: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn("bash", ["-c", command], { cwd, env: { ...machine(), ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`RUN ${command}\nended with ${code}:\n${Buffer.concat(output).toString().slice(-4_000)}`));
    });
  });
}

/** This machine's environment (its registry, its npm cache) without what an npm or a test run around this one has added. */
function machine(): Record<string, string | undefined> {
  const ours =
    /^(npm_(lifecycle|package|command|execpath|node_execpath|config_local_prefix)|INIT_CWD$|NODE_|VITEST|TEST$|MODE$|PROD$|DEV$)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

function atMost(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
