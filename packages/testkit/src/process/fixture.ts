// Started by a test: shows that packages resolve to their sources.
import { LonghaulError } from "@longhaul/core";

process.stdout.write(`code ${new LonghaulError("conflict", "x").code}\n`);
