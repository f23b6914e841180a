#!/usr/bin/env node
// Here before the first build, so that npm can link it; the program itself is built.
import "../dist/main.js";
