#!/usr/bin/env node
import { mainOf } from "@longhaul/shared";
import { wire } from "./wire.ts";

await mainOf("solo", (env) => wire(env, (text) => void process.stdout.write(`${text}\n`)));
