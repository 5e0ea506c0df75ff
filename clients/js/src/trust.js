// What a device trusts (loop/feed/trust.py): trusted state and new bytes to new trusted state, or one error that names the
// broken rule. No IO; the time is an argument. The rules run in the order in which they are written here.

import { latin1, utf8 } from "./bytes.js";
import { digestOf } from "./cryptography.js";
import { iosVersion, parseAsking, parseFeed, parseRoot } from "./documents.js";
import { signers, unseal } from "./envelope.js";
import { LoopError } from "./errors.js";
import { timeText } from "./times.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Cryptography } from "./cryptography.js" */
/** @import { Asking, Feed, Release, Root } from "./documents.js" */
/** @import { Signed } from "./envelope.js" */

/**
 * What a device must never lose: the root, and the last feed (sequence 0: none of this epoch yet).
 *
 * @typedef {object} Trusted
 * @property {Root} root
 * @property {Bytes} rootData
 * @property {number} sequence
 * @property {string | null} feedDigest
 * @property {Date | null} issued
 */
/** The last accepted asking policy. @typedef {{ epoch: number, sequence: number, digest: string }} SeenAsking */
/** @typedef {{ installs: boolean, release: Release, why: string }} Choice */

/** Trust the root that is built into the app, if it signs itself. @param {Bytes} data @param {Cryptography} cryptography */
export async function begin(data, cryptography) {
  const signed = unseal(data);
  const root = await parseRoot(signed.body, cryptography);
  await signedByItself(root, signed, cryptography);
  return fresh(root, data);
}

/**
 * Trust the next root. A root of a new epoch forgets the feeds of the old one.
 *
 * @param {Trusted} trusted @param {Bytes} data @param {Cryptography} cryptography @returns {Promise<Trusted>}
 */
export async function follow(trusted, data, cryptography) {
  const before = trusted.root;
  const signed = unseal(data);
  await enough(signed, before.rootKeys, before.rootThreshold, "TooFewSignatures", `keys of root ${before.version}`, cryptography);
  const root = await parseRoot(signed.body, cryptography);
  if (root.version !== before.version + 1) {
    throw new LoopError("RootSkipped", `root: expected version ${before.version + 1}, got ${root.version}`);
  }
  await signedByItself(root, signed, cryptography);
  if (root.epoch < before.epoch) {
    throw new LoopError("EpochFell", `root ${root.version}: expected epoch ${before.epoch} or later, got ${root.epoch}`);
  }
  return root.epoch > before.epoch ? fresh(root, data) : { ...trusted, root, rootData: data };
}

/**
 * What to trust in an app with the root `data` built in (loop/feed/built_in.py): its root if that has a higher version, else as
 * before. A root of the same epoch keeps the last feed's sequence, one of any other epoch forgets it.
 *
 * @param {Trusted} trusted @param {Bytes} data @param {Cryptography} cryptography @returns {Promise<Trusted>}
 */
export async function builtIn(trusted, data, cryptography) {
  const found = await begin(data, cryptography);
  const { version } = found.root;
  if (version === trusted.root.version && latin1(unseal(data).body) !== latin1(unseal(trusted.rootData).body)) {
    const expected = "expected the root that this device trusts, got another; build in a root of a higher version";
    throw new LoopError("Equivocated", `built-in root ${version}: ${expected}`);
  }
  if (version <= trusted.root.version) return trusted; // an old app must not bring revoked keys back
  return found.root.epoch !== trusted.root.epoch ? found : { ...trusted, root: found.root, rootData: data };
}

/**
 * Trust a feed. If it throws, no part of the feed may be used.
 *
 * @param {Trusted} trusted @param {Bytes} data @param {Date} now @param {Cryptography} cryptography
 * @returns {Promise<{ trusted: Trusted, feed: Feed }>}
 */
export async function accept(trusted, data, now, cryptography) {
  const signed = unseal(data);
  const moment = notBeforeIssued(trusted, now);
  await signedByFeedKeys(trusted, signed, moment, cryptography);
  const feed = parseFeed(signed.body);
  const digest = await digestOf(cryptography, signed.body);
  ofTheEpoch(trusted, feed, "feed");
  if (feed.root > trusted.root.version) {
    throw new LoopError("RootWithheld", `feed: expected root ${trusted.root.version} or earlier, got root ${feed.root}`);
  }
  sequenceDoesNotFall(trusted, feed, "feed");
  oneDocumentPerSequence(trusted, feed, digest, "feed");
  notExpired(feed, moment, "feed");
  return { trusted: { ...trusted, sequence: feed.sequence, feedDigest: digest, issued: feed.issued }, feed };
}

/**
 * Trust an asking policy, after the feed. Sequences of another epoch are forgotten, as those of feeds are.
 *
 * @param {Trusted} trusted @param {SeenAsking | null} seen @param {Bytes} data @param {Date} now @param {Cryptography} cryptography
 * @returns {Promise<{ seen: SeenAsking, asking: Asking }>}
 */
export async function acceptAsking(trusted, seen, data, now, cryptography) {
  const signed = unseal(data);
  const moment = notBeforeIssued(trusted, now);
  await signedByFeedKeys(trusted, signed, moment, cryptography);
  const asking = parseAsking(signed.body);
  const digest = await digestOf(cryptography, signed.body);
  const last = seen === null || seen.epoch !== trusted.root.epoch
    ? { sequence: 0, feedDigest: null }
    : { sequence: seen.sequence, feedDigest: seen.digest };
  ofTheEpoch(trusted, asking, "asking policy");
  sequenceDoesNotFall(last, asking, "asking policy");
  oneDocumentPerSequence(last, asking, digest, "asking policy");
  notExpired(asking, moment, "asking policy");
  return { seen: { epoch: asking.epoch, sequence: asking.sequence, digest }, asking };
}

/**
 * What a device does that runs the model with digest `holds`. `ios` null accepts every model. Throws `NoChannel`.
 *
 * @param {Feed} feed
 * @param {{ name: string, channel: string, ios: readonly [number, number] | null }} device `name` is its random id, never sent.
 * @param {string | null} holds @param {Cryptography} cryptography @returns {Promise<Choice>}
 */
export async function choose(feed, device, holds, cryptography) {
  const release = feed.channels.get(device.channel);
  if (release === undefined) {
    const offered = [...feed.channels.keys()].sort().join(", ") || "none";
    throw new LoopError("NoChannel", `expected a channel ${device.channel}, got ${offered}`);
  }
  const keep = (/** @type {string} */ why) => ({ installs: false, release, why });
  if (release.digest === holds) return keep("this model is already installed");
  if (device.ios !== null && isOlder(device.ios, iosVersion(release.minimumIos))) {
    return keep(`the model needs iOS ${release.minimumIos}`);
  }
  const usable = holds !== null && !feed.withdrawn.includes(holds);
  if (usable && (await bucket(device.name, release.digest, cryptography)) >= release.rolloutPercent) {
    return keep(`the rollout is at ${release.rolloutPercent} % and does not include this device yet`);
  }
  return { installs: true, release, why: release.urgent ? "urgent release" : "new release" };
}

/** 0 to 99, fixed for one device and model. @param {string} device @param {string} digest @param {Cryptography} cryptography */
export async function bucket(device, digest, cryptography) {
  const hashed = await digestOf(cryptography, utf8(`${device}:${digest}`));
  return Number.parseInt(hashed.slice(0, 8), 16) % 100;
}

/** @param {Root} root @param {Bytes} rootData @returns {Trusted} */
const fresh = (root, rootData) => ({ root, rootData, sequence: 0, feedDigest: null, issued: null });

/** @param {readonly [number, number]} one @param {readonly [number, number]} other */
const isOlder = (one, other) => one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);

/** The device's time, or the issue time of the last trusted feed if that is later. @param {Trusted} trusted @param {Date} now */
const notBeforeIssued = (trusted, now) => (trusted.issued !== null && trusted.issued > now ? trusted.issued : now);

/** @param {Root} root @param {Signed} signed @param {Cryptography} cryptography */
const signedByItself = (root, signed, cryptography) =>
  enough(signed, root.rootKeys, root.rootThreshold, "TooFewSignatures", `its own keys (root ${root.version})`, cryptography);

/** @param {Trusted} trusted @param {Signed} signed @param {Date} moment @param {Cryptography} cryptography */
async function signedByFeedKeys({ root }, signed, moment, cryptography) {
  const keys = [...root.feedKeys];
  const certified = new Map(keys.map(([id, key]) => [id, key.public]));
  await enough(signed, certified, root.feedThreshold, "TooFewSignatures", "certified keys", cryptography);
  const valid = new Map(keys.filter(([, key]) => moment < key.expires).map(([id, key]) => [id, key.public]));
  await enough(signed, valid, root.feedThreshold, "KeyExpired", `keys valid at ${timeText(moment)}`, cryptography);
}

/**
 * @param {Signed} signed @param {ReadonlyMap<string, string>} keys @param {number} threshold
 * @param {"TooFewSignatures" | "KeyExpired"} rule @param {string} which @param {Cryptography} cryptography
 */
async function enough(signed, keys, threshold, rule, which, cryptography) {
  const count = await signers(signed, keys, cryptography);
  if (count < threshold) throw new LoopError(rule, `expected ${threshold} valid signatures by ${which}, got ${count}`);
}

/** @param {Trusted} trusted @param {{ epoch: number }} document @param {string} kind */
function ofTheEpoch({ root }, document, kind) {
  if (document.epoch !== root.epoch) {
    throw new LoopError("OtherEpoch", `${kind}: expected epoch ${root.epoch}, got ${document.epoch}`);
  }
}

/** @param {{ sequence: number }} last @param {{ sequence: number }} document @param {string} kind */
function sequenceDoesNotFall(last, document, kind) {
  if (document.sequence < last.sequence) {
    throw new LoopError("RolledBack", `${kind}: expected sequence ${last.sequence} or later, got ${document.sequence}`);
  }
}

/**
 * @param {{ sequence: number, feedDigest: string | null }} last @param {{ sequence: number }} document
 * @param {string} digest @param {string} kind
 */
function oneDocumentPerSequence(last, document, digest, kind) {
  if (document.sequence === last.sequence && digest !== last.feedDigest) {
    throw new LoopError("Equivocated", `${kind} ${document.sequence}: expected the document seen before, got another`);
  }
}

/** @param {{ expires: Date, sequence: number }} document @param {Date} moment @param {string} kind */
function notExpired(document, moment, kind) {
  if (moment >= document.expires) {
    const expiry = timeText(document.expires);
    throw new LoopError("Expired", `${kind} ${document.sequence}: expected a time before ${expiry}, got ${timeText(moment)}`);
  }
}
