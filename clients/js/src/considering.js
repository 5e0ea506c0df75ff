// Decide about each drawing of a device once (loop/feed/client/asking.py): draw no lot twice, ask no user twice.

import { decide, drawLot, isUnsure, twoBest } from "./asking.js";
import { encode, isObject, parse } from "./canonical.js";
import { LoopError, reason } from "./errors.js";
import * as fields from "./fields.js";
import { timeText } from "./times.js";

/** @import { TwoBest } from "./asking.js" */
/** @import { PlainObject } from "./canonical.js" */
/** @import { AskingPolicy } from "./documents.js" */
/** @import { Store } from "./stores.js" */

/** @typedef {{ digest: string, at: Date, send: boolean, asked: boolean, ratePpm: number }} Decided */
/**
 * A drawing, what the model read, and the decision.
 *
 * @typedef {object} Considered
 * @property {TwoBest} best
 * @property {boolean | null} unsure Null without a valid policy: then nothing is sent and nobody is asked.
 * @property {boolean} send Send it with `rate`.
 * @property {boolean} askNow Ask the user, "a `best.digit` or a `best.second`?"; true once for a drawing.
 * @property {number} rate The chance with which it was sent.
 * @property {boolean} known The decision is an earlier one.
 */

const FILE = "decided.json";
const MOST = 1_000; // drawings; an app that shows an older one again decides about it again
const DAY = /^\d{4}-\d\d-\d\d$/;

/**
 * @param {Store} store @param {string} digest SHA-256 of the 784 pixels. @param {ArrayLike<number>} probabilities
 * @param {AskingPolicy | null} policy The valid one. @param {Date} now @returns {Promise<Considered>}
 */
export async function consider(store, digest, probabilities, policy, now, lot = drawLot) {
  const best = twoBest(probabilities);
  const memory = await remembered(store, timeText(now).slice(0, 10));
  const unsure = policy === null ? null : isUnsure(policy, best.share, best.secondShare);
  const earlier = memory.decided.find((each) => each.digest === digest);
  if (earlier) return { best, unsure, send: earlier.send, askNow: false, rate: earlier.ratePpm / fields.MILLION, known: true };
  if (policy === null) return { best, unsure, send: false, askNow: false, rate: 0, known: false };
  const { send, ask, rate } = decide(policy, best.share, best.secondShare, lot(), memory.asked);
  memory.asked += Number(ask);
  memory.decided.push({ digest, at: now, send, asked: ask, ratePpm: Math.round(rate * fields.MILLION) });
  await store.set(FILE, encode(plainMemory(memory)));
  return { best, unsure, send, askNow: ask, rate, known: false };
}

/** The count is that of the UTC day. Throws `StateUnreadable`. @param {Store} store @param {string} day */
async function remembered(store, day) {
  const data = await store.get(FILE);
  if (data === null) return { day, asked: 0, decided: /** @type {Decided[]} */ ([]) };
  try {
    const plain = parse(data);
    fields.number(plain, "format", fields.FORMAT, fields.FORMAT);
    const listed = plain["decided"];
    const decided = Array.isArray(listed) ? listed.filter(isObject).map(decidedIn) : [];
    const asked = fields.string(plain, "day", DAY) === day ? fields.number(plain, "asked", 0) : 0;
    return { day, asked, decided };
  } catch (thrown) {
    throw new LoopError("StateUnreadable", `${FILE}: damaged (${reason(thrown)}); remove it, and drawings are new again`);
  }
}

/** @param {PlainObject} plain @returns {Decided} */
const decidedIn = (plain) => ({
  digest: fields.digest(plain, "digest"),
  at: fields.time(plain, "at"),
  send: fields.flag(plain, "send"),
  asked: fields.flag(plain, "asked"),
  ratePpm: fields.number(plain, "rate_ppm", 0, fields.MILLION),
});

/** @param {{ day: string, asked: number, decided: Decided[] }} memory @returns {PlainObject} */
const plainMemory = ({ day, asked, decided }) => ({
  asked,
  day,
  decided: decided.slice(-MOST).map(({ digest, at, send, asked, ratePpm }) =>
    ({ asked, at: timeText(at), digest, rate_ppm: ratePpm, send })),
  format: fields.FORMAT,
});
