// Feeds, roots and asking policies: JSON to values, each field checked (loop/feed/document.py, loop/feed/asking.py).

import { fromHex } from "./bytes.js";
import { digestOf } from "./cryptography.js";
import { LoopError } from "./errors.js";
import * as fields from "./fields.js";

/** @import { Plain, PlainObject } from "./canonical.js" */
/** @import { Cryptography } from "./cryptography.js" */

/** Limits of `loop/feed/document.py` and `asking.py`; lengths in bytes. */
export const LIMITS = {
  document: 64 << 10,
  model: 256 << 20,
  golden: 1 << 20,
  channels: 16,
  withdrawn: 256,
  keys: 16,
  roots: 64, // that one sync follows; the next sync continues
  askedADay: 100,
  critical: 16,
};
const CHANNEL = /^[a-z][a-z0-9]{0,19}\.mlmodel$/;
const IOS = /^(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)$/;

/**
 * One model for one channel; lengths in bytes, digests SHA-256 in hex.
 *
 * @typedef {object} Release
 * @property {number} version
 * @property {string} digest
 * @property {number} length
 * @property {string} goldenDigest
 * @property {number} goldenLength
 * @property {string} minimumIos For example `15.0`; it does not concern other systems.
 * @property {number} rolloutPercent The share of devices that install it.
 * @property {boolean} urgent
 */
/**
 * What devices run, from `issued` until `expires`; `root` is the version of the root that certifies it.
 *
 * @typedef {object} Feed
 * @property {number} epoch
 * @property {number} sequence
 * @property {number} root
 * @property {Date} issued
 * @property {Date} expires
 * @property {number} confirmPpm The probability, in a million, with which a device confirms a right answer.
 * @property {Map<string, Release>} channels Family and format (`cnn.mlmodel`) to release.
 * @property {string[]} withdrawn Digests that no device may run any longer.
 */
/** @typedef {{ public: string, expires: Date }} FeedKey */
/**
 * Which keys may sign. Ids are the SHA-256 of the 32 bytes of the public key, both in hex.
 *
 * @typedef {object} Root
 * @property {number} version
 * @property {number} epoch
 * @property {Map<string, string>} rootKeys
 * @property {number} rootThreshold
 * @property {Map<string, FeedKey>} feedKeys
 * @property {number} feedThreshold
 */
/**
 * Shares in a million. A drawing is *unsure* if its two best probabilities differ by less than `marginPpm`.
 *
 * @typedef {object} AskingPolicy
 * @property {number} marginPpm
 * @property {number} unsurePpm The chance with which an unsure drawing is sent.
 * @property {number} otherPpm The chance with which any other drawing is sent.
 * @property {boolean} askUser Whether the app asks about an unsure drawing that it would send.
 * @property {number} askedADay How often a day at most.
 */
/** @typedef {{ epoch: number, sequence: number, issued: Date, expires: Date, policy: AskingPolicy }} Asking */

/** Throws `NotCanonical`, `UnknownFormat`, `BadDocument`. @param {Uint8Array} data @returns {Feed} */
export function parseFeed(data) {
  const plain = fields.opened(data, "feed");
  fields.exactly(
    plain, "channels", "confirm_ppm", "epoch", "expires", "format", "issued", "root", "sequence", "type", "withdrawn");
  const channels = fields.mapping(plain, "channels", LIMITS.channels, CHANNEL);
  const feed = {
    ...span(plain),
    root: fields.number(plain, "root", 1),
    confirmPpm: fields.number(plain, "confirm_ppm", 0, fields.MILLION),
    channels: new Map(Object.entries(channels).map(([name, each]) => [name, release(each)])),
    withdrawn: fields.digests(plain, "withdrawn", LIMITS.withdrawn),
  };
  for (const [name, { digest }] of feed.channels) {
    if (feed.withdrawn.includes(digest)) throw fields.bad(name, "a model that is not withdrawn");
  }
  return feed;
}

/** Throws the errors of a feed, and `KeyMismatch`. @param {Uint8Array} data @param {Cryptography} cryptography */
export async function parseRoot(data, cryptography) {
  const plain = fields.opened(data, "root");
  fields.exactly(plain, "epoch", "feed", "format", "issued", "root", "type", "version");
  const [roots, feeds] = [role(plain, "root"), role(plain, "feed")];
  const [version, epoch] = [fields.number(plain, "version", 1), fields.number(plain, "epoch", 1)];
  fields.time(plain, "issued");
  /** @type {Map<string, string>} */
  const rootKeys = new Map();
  for (const id of Object.keys(roots.keys)) rootKeys.set(id, await publicKey(id, roots.keys, id, cryptography));
  const rootThreshold = threshold(roots);
  /** @type {Map<string, FeedKey>} */
  const feedKeys = new Map();
  for (const [id, value] of Object.entries(feeds.keys)) {
    const key = fields.object("key", value);
    fields.exactly(key, "expires", "public");
    feedKeys.set(id, { public: await publicKey(id, key, "public", cryptography), expires: fields.time(key, "expires") });
  }
  return { version, epoch, rootKeys, rootThreshold, feedKeys, feedThreshold: threshold(feeds) };
}

const MEMBERS = new Set([
  "ask_user", "asked_a_day", "critical", "epoch", "expires", "format", "issued", "margin_ppm", "other_ppm", "sequence", "type",
  "unsure_ppm",
]);

/** Unlike a feed it may grow: unknown members are ignored, unless `critical` names them. @param {Uint8Array} data */
export function parseAsking(data) {
  const plain = fields.opened(data, "asking");
  understood(plain);
  /** @type {AskingPolicy} */
  const policy = {
    askUser: fields.flag(plain, "ask_user"),
    marginPpm: fields.number(plain, "margin_ppm", 0, fields.MILLION),
    unsurePpm: fields.number(plain, "unsure_ppm", 0, fields.MILLION),
    otherPpm: fields.number(plain, "other_ppm", 0, fields.MILLION),
    askedADay: fields.number(plain, "asked_a_day", 0, LIMITS.askedADay),
  };
  return { ...span(plain), policy };
}

/** `"15.0"` as two numbers. @param {string} ios @returns {[number, number]} */
export function iosVersion(ios) {
  const [, major, minor] = IOS.exec(ios) ?? [];
  return [Number(major), Number(minor)];
}

/** What feeds and asking policies have in common. @param {PlainObject} plain */
function span(plain) {
  const made = {
    epoch: fields.number(plain, "epoch", 1),
    sequence: fields.number(plain, "sequence", 1),
    issued: fields.time(plain, "issued"),
    expires: fields.time(plain, "expires"),
  };
  if (made.expires <= made.issued) throw fields.bad("expires", "a time after issued");
  return made;
}

/** @param {PlainObject} plain */
function understood(plain) {
  const critical = plain["critical"] ?? [];
  const named = Array.isArray(critical) && critical.length <= LIMITS.critical && critical.every((each) => typeof each === "string");
  if (!named) throw fields.bad("critical", `at most ${LIMITS.critical} names`);
  const unknown = critical.filter((each) => !MEMBERS.has(String(each))).sort()[0];
  if (unknown !== undefined) {
    throw new LoopError("UnknownFormat", `critical: expected known members, got ${String(unknown).slice(0, 40)}; update the app`);
  }
}

/** @param {Plain} value @returns {Release} */
function release(value) {
  const plain = fields.object("channel", value);
  fields.exactly(plain, "digest", "golden", "length", "minimum_ios", "rollout_percent", "urgent", "version");
  const golden = fields.mapping(plain, "golden", 2);
  fields.exactly(golden, "digest", "length");
  const made = {
    version: fields.number(plain, "version", 1),
    digest: fields.digest(plain, "digest"),
    length: fields.number(plain, "length", 1, LIMITS.model),
    goldenDigest: fields.digest(golden, "digest"),
    goldenLength: fields.number(golden, "length", 1, LIMITS.golden),
    minimumIos: fields.string(plain, "minimum_ios", IOS, "a version like 15.0"),
    rolloutPercent: fields.number(plain, "rollout_percent", 0, 100),
    urgent: fields.flag(plain, "urgent"),
  };
  if (made.urgent && made.rolloutPercent < 100) throw fields.bad("rollout_percent", "100 for an urgent release");
  return made;
}

/** @param {PlainObject} plain @param {string} name */
function role(plain, name) {
  const role = fields.mapping(plain, name, 2);
  fields.exactly(role, "keys", "threshold");
  return { fields: role, keys: fields.keys(role, "keys", LIMITS.keys) };
}

/** @param {{ fields: PlainObject, keys: PlainObject }} role */
const threshold = (role) => fields.number(role.fields, "threshold", 1, Object.keys(role.keys).length);

/** @param {string} id @param {PlainObject} plain @param {string} field @param {Cryptography} cryptography */
async function publicKey(id, plain, field, cryptography) {
  const key = fields.digest(plain, field);
  if ((await digestOf(cryptography, fromHex(key))) !== id) {
    throw new LoopError("KeyMismatch", `key ${id.slice(0, 12)}…: expected the id of its public key, got another`);
  }
  return key;
}
