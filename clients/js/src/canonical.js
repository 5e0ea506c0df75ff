// Canonical JSON (loop/feed/canonical.py): each value has exactly one encoding.
//
// Objects with sorted and unique keys, arrays, strings of printable ASCII without quote and backslash, integers from 0 to
// 2^53 - 1, true and false; no white space, no null, at most eight levels.

import { latin1, utf8 } from "./bytes.js";
import { LoopError } from "./errors.js";

/** Objects have no prototype, so that no key has a meaning of its own. @typedef {{ [key: string]: Plain }} PlainObject */
/** @typedef {string | number | boolean | PlainArray | PlainObject} Plain */
/** @typedef {Array<Plain>} PlainArray */

export const MAX_DEPTH = 8;
const TEXT = /"([ !#-[\]-~]*)"/y;
const NUMBER = /0|[1-9][0-9]{0,15}/y;
const LITERAL = /true|false/y;

/** The object in `data`. Throws `NotCanonical` for any other bytes. @param {Uint8Array} data @returns {PlainObject} */
export function parse(data) {
  requireShallow(data);
  const reader = new Reader(latin1(data));
  const value = reader.value(1);
  if (!isObject(value) || !reader.atEnd) throw reader.refused("one object");
  return value;
}

/** @param {Plain | undefined} value @returns {value is PlainObject} */
export const isObject = (value) => typeof value === "object" && !Array.isArray(value);

/** The one encoding of a value whose strings and numbers are canonical. @param {Plain} value @returns {string} */
export function text(value) {
  if (Array.isArray(value)) return `[${value.map(text).join(",")}]`;
  if (!isObject(value)) return typeof value === "string" ? `"${value}"` : String(value);
  const fields = Object.keys(value).sort().map((key) => `"${key}":${text(/** @type {Plain} */ (value[key]))}`);
  return `{${fields.join(",")}}`;
}

/** @param {PlainObject} value */
export const encode = (value) => utf8(text(value));

/** Refuse deep nesting before a parser recurses into it. Brackets inside strings count too. @param {Uint8Array} data */
export function requireShallow(data, depth = MAX_DEPTH) {
  let level = 0;
  for (const byte of data) {
    if (byte === 0x5b || byte === 0x7b) level += 1;
    if (byte === 0x5d || byte === 0x7d) level -= 1;
    if (level > depth) throw new LoopError("NotCanonical", `expected at most ${depth} levels, got more`);
  }
}

/** Accepts canonical JSON and nothing else, so nothing has to be encoded again to compare. */
class Reader {
  #text;
  #at = 0;

  /** @param {string} text */
  constructor(text) {
    this.#text = text;
  }

  get atEnd() {
    return this.#at === this.#text.length;
  }

  /** @param {string} expected */
  refused(expected) {
    return new LoopError("NotCanonical", `expected ${expected} of canonical JSON at byte ${this.#at}, got something else`);
  }

  /** @param {number} level @returns {Plain} */
  value(level) {
    if (level > MAX_DEPTH) throw this.refused(`at most ${MAX_DEPTH} levels`);
    const next = this.#text[this.#at];
    if (next === "{") return this.#object(level);
    if (next === "[") return this.#array(level);
    if (next === '"') return this.#string();
    if (next === "t" || next === "f") return this.#match(LITERAL, "true or false")[0] === "true";
    const number = Number(this.#match(NUMBER, "a value")[0]);
    if (!Number.isSafeInteger(number)) throw this.refused("a number below 2^53");
    return number;
  }

  /** @param {number} level */
  #object(level) {
    /** @type {PlainObject} */
    const found = Object.create(null);
    let last = null;
    this.#take("{");
    while (!this.#takes("}")) {
      if (last !== null) this.#take(",");
      const key = this.#string();
      if (last !== null && key <= last) throw this.refused("sorted keys, each once");
      this.#take(":");
      found[key] = this.value(level + 1);
      last = key;
    }
    return found;
  }

  /** @param {number} level */
  #array(level) {
    /** @type {Plain[]} */
    const found = [];
    this.#take("[");
    while (!this.#takes("]")) {
      if (found.length) this.#take(",");
      found.push(this.value(level + 1));
    }
    return found;
  }

  #string() {
    return /** @type {string} */ (this.#match(TEXT, "a string")[1]);
  }

  /** @param {RegExp} pattern @param {string} expected */
  #match(pattern, expected) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) throw this.refused(expected);
    this.#at += found[0].length;
    return found;
  }

  /** @param {string} letter */
  #takes(letter) {
    if (this.#text[this.#at] !== letter) return false;
    this.#at += 1;
    return true;
  }

  /** @param {string} letter */
  #take(letter) {
    if (!this.#takes(letter)) throw this.refused(letter);
  }
}
