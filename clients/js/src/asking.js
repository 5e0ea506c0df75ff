// What a device does with a drawing that nobody corrected (loop/feed/asking.py, docs/feed.md).

import { MILLION } from "./fields.js";

/** @import { AskingPolicy } from "./documents.js" */

/** `send` the drawing with this `rate`; `ask` the user first, and send an answer instead. @typedef {{ send: boolean, ask: boolean, rate: number }} Decision */

/**
 * The decision about one new drawing. Remember it: a drawing is never asked about twice, and its lot is never drawn twice.
 *
 * @param {AskingPolicy} policy @param {number} best @param {number} second Probabilities of the two best digits.
 * @param {number} lot A random number from 0 to 999,999, drawn once for each drawing.
 * @param {number} askedToday How often the app has asked its user today.
 * @returns {Decision}
 */
export function decide(policy, best, second, lot, askedToday) {
  const unsure = (best - second) * MILLION < policy.marginPpm;
  const chance = unsure ? policy.unsurePpm : policy.otherPpm;
  const send = lot < chance;
  return { send, ask: send && unsure && policy.askUser && askedToday < policy.askedADay, rate: chance / MILLION };
}

/** The two best digits, the better one first; of equals the smaller. @param {ArrayLike<number>} probabilities */
export function twoBest(probabilities) {
  const ranked = Array.from(probabilities, (share, digit) => ({ digit, share }));
  const [best, second] = ranked.sort((one, other) => other.share - one.share || one.digit - other.digit);
  return { best, second };
}

/** A random number from 0 to 999,999, each as likely as any other. */
export function drawLot() {
  const room = 2 ** 32 - (2 ** 32 % MILLION);
  for (;;) {
    const [number] = crypto.getRandomValues(new Uint32Array(1));
    if (number < room) return number % MILLION;
  }
}
