// What a device does with a drawing that nobody corrected (loop/feed/asking.py, docs/feed.md).

import { LoopError } from "./errors.js";
import { MILLION } from "./fields.js";

/** @import { AskingPolicy } from "./documents.js" */

/** `send` the drawing with this `rate`; `ask` the user first, and send an answer instead. @typedef {{ send: boolean, ask: boolean, rate: number }} Decision */
/** The best digit and its probability, and the second. @typedef {{ digit: number, share: number, second: number, secondShare: number }} TwoBest */

const SUM_TOLERANCE = 1e-3; // probabilities of a phone are float16, or rounded

/**
 * The decision about one new drawing. Remember it: a drawing is never asked about twice, and its lot is never drawn twice.
 *
 * @param {AskingPolicy} policy @param {number} best @param {number} second Probabilities of the two best digits.
 * @param {number} lot A random number from 0 to 999,999, drawn once for each drawing.
 * @param {number} askedToday How often the app has asked its user today.
 * @returns {Decision}
 */
export function decide(policy, best, second, lot, askedToday) {
  const unsure = isUnsure(policy, best, second);
  const chance = unsure ? policy.unsurePpm : policy.otherPpm;
  const send = lot < chance;
  return { send, ask: send && unsure && policy.askUser && askedToday < policy.askedADay, rate: chance / MILLION };
}

/** @param {AskingPolicy} policy @param {number} best @param {number} second */
export const isUnsure = (policy, best, second) => (best - second) * MILLION < policy.marginPpm;

/**
 * The two best digits; of equals the smaller is the better. Throws `BadField` unless they are ten from 0 to 1 that sum to 1.
 *
 * @param {ArrayLike<number>} probabilities @returns {TwoBest}
 */
export function twoBest(probabilities) {
  const shares = Array.from(probabilities);
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (shares.length !== 10 || !shares.every((share) => share >= 0 && share <= 1) || Math.abs(total - 1) > SUM_TOLERANCE) {
    throw new LoopError("BadField", `probabilities: expected ten from 0 to 1 that sum to 1, got ${shares.length} with the sum ${total}`);
  }
  const [digit, second] = shares.map((_, at) => at).sort((one, other) => shares[other] - shares[one] || one - other);
  return { digit, share: shares[digit], second, secondShare: shares[second] };
}

/** A random number from 0 to 999,999, each as likely as any other. */
export function drawLot() {
  const room = 2 ** 32 - (2 ** 32 % MILLION);
  for (;;) {
    const [number] = crypto.getRandomValues(new Uint32Array(1));
    if (number < room) return number % MILLION;
  }
}
