// The vectors of clients/vectors, in Node.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as checks from "./checks.js";

const read = (name) => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8"));

test("pictures become Python's 784 bytes and 64 tiles, or are refused where Python refuses", async () => {
  const vectors = read("pictures");
  assert.ok(vectors.length >= 200);
  assert.deepEqual(await checks.pictures(vectors), []);
});

test("strokes give the same canvas and the same 784 bytes", async () => {
  const vectors = read("strokes");
  assert.ok(vectors.length > 40);
  assert.deepEqual(await checks.strokes(vectors), []);
});

test("sources, buckets, times and PNG files are Python's", async () => {
  assert.deepEqual(await checks.small(read("small")), []);
});

test("every attack on the feed is refused by the same name, and honest feeds are followed", async () => {
  const vectors = read("feed");
  assert.ok(vectors.scenarios.filter(({ steps }) => steps.at(-1).refusal !== null).length >= 65);
  assert.deepEqual(await checks.feeds({ ...vectors, updates: [] }), []);
});

test("an app that is updated takes over a newer root, never an older one", async () => {
  const vectors = read("feed");
  assert.ok(vectors.updates.length >= 15);
  assert.deepEqual(await checks.feeds({ ...vectors, scenarios: [] }), []);
});

test("golden files are refused where Python refuses", async () => {
  const vectors = read("golden");
  assert.ok(vectors.files.length >= 30 && vectors.files.some(({ refusal }) => refusal === null));
  assert.deepEqual(await checks.golden(vectors), []);
});

test("decisions about drawings are Python's, and asking policies are refused by the same names", async () => {
  const vectors = read("asking");
  assert.ok(vectors.decisions.length > 300 && vectors.documents.length >= 40);
  assert.deepEqual(await checks.asking(vectors), []);
});

test("control: one grey level more in the ink, another refusal and another source are noticed", async () => {
  const [vector] = read("pictures");
  const grey = checks.pixels(vector.grey);
  grey[grey.findIndex((level) => level > 100 && level < 150)] += 60;
  const pairs = btoa(Array.from(grey, (level) => `\x01${String.fromCharCode(level)}`).join(""));
  assert.deepEqual(await checks.pictures([{ ...vector, grey: pairs, tiles: null }]), ["picture 0"]);
  const small = read("small");
  small.sources[0].source = "s0";
  assert.equal((await checks.small(small)).length, 1);
  const feed = read("feed");
  const attack = feed.scenarios.find(({ steps }) => steps.at(-1).refusal === "RolledBack");
  attack.steps.at(-1).refusal = null;
  assert.equal((await checks.feeds({ ...feed, scenarios: [attack], updates: [] })).length, 2);
  const update = feed.updates.find(({ name }) => name === "new_app_after_all_root_keys_were_lost");
  for (const step of update.steps) step.built_in = update.steps[0].built_in;
  assert.ok((await checks.feeds({ ...feed, scenarios: [], updates: [update] })).length >= 4);
});

test("the platform's Ed25519 verifies a root, and refuses a changed one", async () => {
  assert.deepEqual(await checks.ed25519(read("feed")), []);
});
