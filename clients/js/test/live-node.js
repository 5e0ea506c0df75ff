// `node test/live-node.js FILE`: the life of live.js, with what it needs as JSON in FILE; prints what happened.

import { readFileSync } from "node:fs";

import { fromBase64 } from "../src/bytes.js";
import { MemoryStore } from "../src/index.js";
import { life } from "./live.js";

const given = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { models } = JSON.parse(readFileSync(new URL("../../vectors/feed.json", import.meta.url), "utf8"));
const stores = [new MemoryStore(), new MemoryStore(), new MemoryStore()];
console.log(JSON.stringify(await life({ ...given, root: fromBase64(given.root), models, stores })));
