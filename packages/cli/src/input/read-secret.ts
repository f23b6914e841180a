import { usageError } from "../cli-error.ts";
import type { World } from "../world.ts";

/**
 * A value that must not stand in an argument, where every process of the machine can read it: from an environment variable, or from standard
 * input. On a terminal it is asked for and not shown. One line break at its end does not belong to it.
 */
export async function readSecret(world: World, what: string, envName: string | undefined): Promise<string> {
  if (envName !== undefined) {
    const value = world.env[envName];
    if (value === undefined || value === "") throw usageError(`the environment has no ${envName}`);
    return value;
  }
  const value = world.askHidden ? await world.askHidden(`${what}: `) : (await world.readStdin()).replace(/\r?\n$/, "");
  if (value === "") throw usageError(`${what} is empty; hand it over on standard input, or name a variable with --from-env`);
  return value;
}
