// What a user says about one drawing, or that nobody said anything: the bodies of uploads (docs/api.md).

import { base64, hex } from "./bytes.js";
import { twoBest } from "./asking.js";
import { LoopError } from "./errors.js";
import { SIDE } from "./picture.js";
import { png } from "./png.js";

/**
 * `key` is the idempotency key: a retry with the same key is stored once. `to` is the list to which it is posted.
 *
 * @typedef {{ readonly key: string, readonly body: string, readonly to: "corrections" | "drawings" }} Correction
 */
/**
 * The model's answer. Leave out what there is not: an app without a model from the feed has no `version`.
 *
 * @typedef {object} Answer
 * @property {number} [predicted]
 * @property {number} [confidence] The probability of `predicted`, 0 to 1.
 * @property {number} [version] `held.version`.
 * @property {Date} [capturedAt] When it was drawn, or labelled again; now if absent.
 * @property {string} [key] Random if absent.
 */
/** @typedef {Answer & { predicted: number, confidence: number }} Predicted */
/** @typedef {{ label?: number, kind?: string, rate: number, runner_up?: number, runner_up_confidence?: number }} Said */

/**
 * The user wrote `label`, the model read another digit. Send one with the same pixels again when the user changes their mind.
 * All functions throw `BadImage` and `BadField`.
 *
 * @param {Uint8Array} pixels The 784 bytes that the model saw. @param {Answer & { label: number }} said
 */
export function correction(pixels, { label, ...answer }) {
  if (label === answer.predicted) throw bad("label", "another digit than predicted: this is a confirmation", label);
  return made(pixels, answer, { label: digit("label", label), kind: "correction", rate: 1 });
}

/**
 * The model read `predicted`, and the user agreed.
 *
 * @param {Uint8Array} pixels
 * @param {Predicted & { rate: number }} said `rate` is `phone.confirmRate` as it was when this confirmation was drawn with it.
 */
export function confirmation(pixels, { rate, ...answer }) {
  return made(pixels, answer, { label: digit("predicted", answer.predicted), kind: "confirmation", rate });
}

/**
 * What the user drew has no label: it is no digit, or nobody can read it. Kept and counted, never taught.
 *
 * @param {Uint8Array} pixels @param {Answer & { why: "not-a-digit" | "unreadable" }} said
 */
export function unlabelled(pixels, { why, ...answer }) {
  return made(pixels, answer, { kind: why, rate: 1 });
}

/**
 * Nobody said anything, and `phone.consider` said `send`: a reviewer may label it.
 *
 * @param {Uint8Array} pixels
 * @param {{ probabilities: ArrayLike<number>, rate: number, version?: number, capturedAt?: Date, key?: string }} said `rate` is that
 *   of the decision.
 */
export function drawing(pixels, { probabilities, rate, ...more }) {
  const best = twoBest(probabilities);
  const answer = { predicted: best.digit, confidence: best.share, ...more };
  return { ...made(pixels, answer, { rate, runner_up: best.second, runner_up_confidence: best.secondShare }), to: /** @type {const} */ ("drawings") };
}

/** The app asked ("a 1 or a 7?"), and the user answered `label`. @param {Uint8Array} pixels @param {Predicted & { label: number, rate: number }} said */
export function asked(pixels, { label, rate, ...answer }) {
  return made(pixels, answer, { label: digit("label", label), kind: "asked", rate });
}

/** @param {Uint8Array} pixels @param {Answer} answer @param {Said} said @returns {Correction} */
function made(pixels, answer, said) {
  if (pixels.length !== SIDE * SIDE) throw new LoopError("BadImage", `expected ${SIDE * SIDE} pixels, got ${pixels.length}`);
  if (!(said.rate > 0 && said.rate <= 1)) throw bad("rate", "above 0 and at most 1", said.rate);
  const { predicted, confidence, version, capturedAt = new Date(), key = randomKey() } = answer;
  if (!/^[!-~]{1,200}$/.test(key)) throw bad("key", "1 to 200 printable characters", key.slice(0, 40));
  if (Number.isNaN(capturedAt.getTime())) throw bad("capturedAt", "a time", capturedAt);
  const body = {
    key,
    image: base64(png(pixels, SIDE)),
    ...said,
    ...(predicted !== undefined && { predicted: digit("predicted", predicted) }),
    ...(confidence !== undefined && { confidence: share("confidence", confidence) }),
    ...(version !== undefined && { version: number(version) }),
    captured_at: capturedAt.toISOString(),
  };
  return { key, body: JSON.stringify(body), to: "corrections" };
}

/** @param {string} field @param {number} value */
function digit(field, value) {
  if (!(Number.isInteger(value) && value >= 0 && value <= 9)) throw bad(field, "0 to 9", value);
  return value;
}

/** @param {string} field @param {number} value */
function share(field, value) {
  if (!(value >= 0 && value <= 1)) throw bad(field, "0 to 1", value);
  return value;
}

/** @param {number} version */
function number(version) {
  if (!(Number.isInteger(version) && version >= 1)) throw bad("version", "1 or more", version);
  return version;
}

const randomKey = () => hex(crypto.getRandomValues(new Uint8Array(16)));

/** @param {string} field @param {string} expected @param {unknown} got */
const bad = (field, expected, got) => new LoopError("BadField", `${field}: expected ${expected}, got ${String(got)}`);
