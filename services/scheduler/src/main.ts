#!/usr/bin/env node
import { mainOf } from "@longhaul/shared";
import { wire } from "./wire.ts";

await mainOf("scheduler", wire);
