// Everything that a device keeps beside its models, in one value of the store. Replacing it switches models.

import { encode, isObject, parse } from "./canonical.js";
import { LoopError, reason } from "./errors.js";
import * as fields from "./fields.js";
import { timeText } from "./times.js";
import { begin } from "./trust.js";

/** @import { Plain, PlainObject } from "./canonical.js" */
/** @import { Cryptography } from "./cryptography.js" */
/** @import { AskingPolicy } from "./documents.js" */
/** @import { Store } from "./stores.js" */
/** @import { SeenAsking, Trusted } from "./trust.js" */

/** An installed model; digests are SHA-256 in hex. @typedef {{ version: number, digest: string, goldenDigest: string }} Held */
/** @typedef {{ seen: SeenAsking, expires: Date, policy: AskingPolicy }} HeldAsking */
/**
 * @typedef {object} State
 * @property {Trusted} trusted
 * @property {string} device A random id of this install, never sent.
 * @property {string} channel
 * @property {Held | null} current
 * @property {Held | null} previous
 * @property {number | null} confirmPpm Of the last trusted feed.
 * @property {HeldAsking | null} asking
 */

const FILE = "state.json";
const NAME = /^.+$/;

/** Null if none was written yet. Throws `StateUnreadable`: a device does not guess. @param {Store} store @param {Cryptography} cryptography */
export async function load(store, cryptography) {
  const data = await store.get(FILE);
  if (data === null) return null;
  try {
    return await read(parse(data), cryptography);
  } catch (thrown) {
    throw new LoopError("StateUnreadable", `${FILE}: damaged (${reason(thrown)}); empty the store and sync again`);
  }
}

/** Throws `DiskFull`; then the old state remains. @param {Store} store @param {State} state */
export const save = (store, state) => store.set(FILE, bytes(state));

/** @param {State} state */
export const bytes = (state) => encode(plainState(state));

/** @param {PlainObject} plain @param {Cryptography} cryptography @returns {Promise<State>} */
async function read(plain, cryptography) {
  fields.number(plain, "format", fields.FORMAT, fields.FORMAT);
  const trusted = await begin(encode(fields.object("root", plain["root"])), cryptography);
  trusted.sequence = fields.number(plain, "sequence", 0);
  trusted.feedDigest = "feed_digest" in plain ? fields.digest(plain, "feed_digest") : null;
  trusted.issued = "issued" in plain ? fields.time(plain, "issued") : null;
  return {
    trusted,
    device: fields.string(plain, "device", NAME),
    channel: fields.string(plain, "channel", NAME),
    current: held(plain["current"]),
    previous: held(plain["previous"]),
    confirmPpm: "confirm_ppm" in plain ? fields.number(plain, "confirm_ppm", 0, fields.MILLION) : null,
    asking: asking(plain["asking"]),
  };
}

/** @param {State} state @returns {PlainObject} */
function plainState({ trusted, ...state }) {
  /** @type {PlainObject} */
  const plain = { channel: state.channel, device: state.device, format: fields.FORMAT };
  Object.assign(plain, { root: parse(trusted.rootData), sequence: trusted.sequence });
  if (trusted.feedDigest !== null) plain["feed_digest"] = trusted.feedDigest;
  if (trusted.issued !== null) plain["issued"] = timeText(trusted.issued);
  if (state.confirmPpm !== null) plain["confirm_ppm"] = state.confirmPpm;
  if (state.current !== null) plain["current"] = plainHeld(state.current);
  if (state.previous !== null) plain["previous"] = plainHeld(state.previous);
  if (state.asking !== null) plain["asking"] = plainAsking(state.asking);
  return plain;
}

/** @param {Plain | undefined} value @returns {Held | null} */
function held(value) {
  if (value === undefined) return null;
  const plain = fields.object("model", value);
  const goldenDigest = fields.digest(plain, "golden_digest");
  return { version: fields.number(plain, "version", 1), digest: fields.digest(plain, "digest"), goldenDigest };
}

/** @param {Held} held */
const plainHeld = (held) => ({ version: held.version, digest: held.digest, golden_digest: held.goldenDigest });

/** @param {Plain | undefined} value @returns {HeldAsking | null} */
function asking(value) {
  if (!isObject(value)) return null;
  const policy = fields.object("policy", value["policy"]);
  return {
    seen: {
      epoch: fields.number(value, "epoch", 1),
      sequence: fields.number(value, "sequence", 1),
      digest: fields.digest(value, "digest"),
    },
    expires: fields.time(value, "expires"),
    policy: {
      askUser: fields.flag(policy, "ask_user"),
      askedADay: fields.number(policy, "asked_a_day", 0),
      marginPpm: fields.number(policy, "margin_ppm", 0),
      otherPpm: fields.number(policy, "other_ppm", 0),
      unsurePpm: fields.number(policy, "unsure_ppm", 0),
    },
  };
}

/** @param {HeldAsking} held */
const plainAsking = ({ seen, expires, policy }) => ({
  ...seen,
  expires: timeText(expires),
  policy: {
    ask_user: policy.askUser,
    asked_a_day: policy.askedADay,
    margin_ppm: policy.marginPpm,
    other_ppm: policy.otherPpm,
    unsure_ppm: policy.unsurePpm,
  },
});
