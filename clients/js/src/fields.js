// The fields of a document, read with their type and range. Every function throws `BadDocument` (loop/feed/fields.py).

import { isObject, parse } from "./canonical.js";
import { LoopError } from "./errors.js";
import { parseTime } from "./times.js";

/** @import { Plain, PlainObject } from "./canonical.js" */

export const FORMAT = 1;
export const MILLION = 1_000_000;
const HEX64 = /^[0-9a-f]{64}$/;

/** @param {string} field @param {string} expected */
export const bad = (field, expected) =>
  new LoopError("BadDocument", `${field.slice(0, 80)}: expected ${expected}, got something else`);

/**
 * The object of a document. Throws `NotCanonical`, and `UnknownFormat` for another type or format.
 *
 * @param {Uint8Array} data @param {string} type
 */
export function opened(data, type) {
  const plain = parse(data);
  if (plain["type"] !== type || plain["format"] !== FORMAT) {
    throw new LoopError("UnknownFormat", `expected a ${type} of format ${FORMAT}, got another document`);
  }
  return plain;
}

/** @param {string} name @param {Plain | undefined} value */
export function object(name, value) {
  if (!isObject(value)) throw bad(name, "an object");
  return value;
}

/** @param {PlainObject} plain @param {readonly string[]} names */
export function exactly(plain, ...names) {
  const got = Object.keys(plain).sort();
  if (got.length !== names.length || !names.every((name) => got.includes(name))) {
    throw new LoopError("BadDocument", `expected the fields ${names.join(", ")}; got ${got.join(", ").slice(0, 200)}`);
  }
}

/** @param {PlainObject} plain @param {string} field @param {number} low */
export function number(plain, field, low, high = Number.MAX_SAFE_INTEGER) {
  const value = plain[field];
  if (typeof value !== "number" || value < low || value > high) throw bad(field, `a number from ${low} to ${high}`);
  return value;
}

/** @param {PlainObject} plain @param {string} field */
export function flag(plain, field) {
  const value = plain[field];
  if (typeof value !== "boolean") throw bad(field, "true or false");
  return value;
}

/** @param {PlainObject} plain @param {string} field @param {RegExp} pattern */
export function string(plain, field, pattern, expected = String(pattern)) {
  const value = plain[field];
  if (typeof value !== "string" || !pattern.test(value)) throw bad(field, expected);
  return value;
}

/** @param {PlainObject} plain @param {string} field */
export const digest = (plain, field) => string(plain, field, HEX64, "64 hex digits");

/** @param {PlainObject} plain @param {string} field */
export function time(plain, field) {
  const found = parseTime(plain[field]);
  if (found === null) throw bad(field, "a time like 2026-05-03T03:00:00Z");
  return found;
}

/** @param {PlainObject} plain @param {string} field @param {number} most @param {RegExp} key */
export function mapping(plain, field, most, key = /./) {
  const value = plain[field];
  const fits = isObject(value) && Object.keys(value).length <= most && Object.keys(value).every((each) => key.test(each));
  if (!fits) throw bad(field, `an object of at most ${most} known keys`);
  return value;
}

/** @param {PlainObject} plain @param {string} field */
export const keys = (plain, field, most = 16) => mapping(plain, field, most, HEX64);

/** @param {PlainObject} plain @param {string} field @param {number} most */
export function digests(plain, field, most) {
  const value = plain[field];
  if (!Array.isArray(value) || value.length > most) throw bad(field, `at most ${most} digests`);
  const texts = /** @type {string[]} */ (value.filter((each) => typeof each === "string" && HEX64.test(each)));
  const ascend = texts.every((each, i) => i === 0 || /** @type {string} */ (texts[i - 1]) < each);
  if (texts.length !== value.length || !ascend) throw bad(field, "SHA-256 digests, sorted, each once");
  return texts;
}
