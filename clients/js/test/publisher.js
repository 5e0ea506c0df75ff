// An honest publisher in memory, and the servers of the tests. Keys are new in each run.

import { base64, hex, utf8 } from "../src/bytes.js";
import { encode } from "../src/canonical.js";
import { PATHS } from "../src/source.js";
import { timeText } from "../src/times.js";
import { digest } from "./checks.js";

const HOUR = 3_600_000;

async function newKey() {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const bytes = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { id: await digest(bytes), public: hex(bytes), private: pair.privateKey };
}

/** Signed bytes of a plain document. */
export async function seal(plain, key) {
  const body = encode(plain);
  const signature = hex(new Uint8Array(await crypto.subtle.sign("Ed25519", key.private, body)));
  const text = `{"signatures":[{"key":"${key.id}","signature":"${signature}"}],"signed":${new TextDecoder().decode(body)}}`;
  return utf8(text);
}

/** A model of the tests is JSON with its own answers. */
export function model(version, filling = "") {
  const answer = Array.from({ length: 10 }, (_, digit) => (digit === version % 10 ? 0.91 : 0.01));
  const data = utf8(JSON.stringify({ metadata: { "loop.family": "cnn", "loop.version": String(version) }, answer, filling }));
  return { data, answer };
}

export const loadModel = (data) => {
  const { metadata, answer } = JSON.parse(new TextDecoder().decode(data));
  return { metadata, probabilities: () => answer };
};

export class Publisher {
  files = {};
  now = new Date("2026-05-03T03:00:00Z");
  sequence = 0;

  epoch = 1;

  static async make() {
    const made = new Publisher();
    await made.start(1, 1);
    return made;
  }

  /** A root by new keys, which the app has built in. */
  async start(version, epoch) {
    [this.rootKey, this.feedKey, this.epoch] = [await newKey(), await newKey(), epoch];
    const expires = timeText(new Date(this.now.getTime() + 10_000 * HOUR));
    this.root = await seal({
      epoch, feed: { keys: { [this.feedKey.id]: { expires, public: this.feedKey.public } }, threshold: 1 }, format: 1,
      issued: timeText(this.now), root: { keys: { [this.rootKey.id]: this.rootKey.public }, threshold: 1 }, type: "root", version,
    }, this.rootKey);
  }

  span() {
    return {
      epoch: this.epoch, expires: timeText(new Date(this.now.getTime() + 24 * HOUR)), format: 1, issued: timeText(this.now),
      sequence: this.sequence,
    };
  }

  /** Publish a version; `change` may alter its golden vectors. */
  async publish(version, { filling = "", change = (golden) => golden, more = {} } = {}) {
    const { data, answer } = model(version, filling);
    const named = await digest(data);
    const vector = { label: version % 10, pixels: base64(new Uint8Array(784)), probabilities: answer };
    const golden = utf8(JSON.stringify(change({ format: 1, model: named, tolerance: 0.01, vectors: [vector] })));
    const goldenDigest = await digest(golden);
    this.sequence += 1;
    Object.assign(this.files, { [PATHS.model(named)]: data, [PATHS.golden(goldenDigest)]: golden });
    const release = {
      digest: named, golden: { digest: goldenDigest, length: golden.length }, length: data.length, minimum_ios: "11.0",
      rollout_percent: 100, urgent: false, version,
    };
    const feed = { ...this.span(), channels: { "cnn.mlmodel": release }, confirm_ppm: 50_000, root: 1, type: "feed", withdrawn: [] };
    this.files[PATHS.feed] = await seal({ ...feed, ...more }, this.feedKey);
    return PATHS.model(named);
  }

  /** Publish an asking policy. */
  async ask(changes = {}, key = this.feedKey) {
    const policy = { ask_user: true, asked_a_day: 3, margin_ppm: 300_000, other_ppm: 1_000, unsure_ppm: 200_000 };
    this.files[PATHS.asking] = await seal({ ...this.span(), type: "asking", ...policy, ...changes }, key);
  }
}

/** A store that is killed: write `at` throws, before or after it took effect. */
export class Mortal {
  constructor(store, at, before) {
    Object.assign(this, { store, at, before, writes: 0 });
  }

  get = (name) => this.store.get(name);
  names = (prefix) => this.store.names(prefix);
  alone = (name, work) => work();
  set = (name, value) => this.#write(() => this.store.set(name, value));
  remove = (name) => this.#write(() => this.store.remove(name));

  async #write(write) {
    this.writes += 1;
    if (this.writes > this.at) throw new Error("killed");
    if (this.writes === this.at && this.before) throw new Error("killed");
    await write();
    if (this.writes === this.at) throw new Error("killed");
  }
}
