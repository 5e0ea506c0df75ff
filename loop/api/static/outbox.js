// Corrections that wait for upload: this browser keeps them, through reloads, until the server has them on disk.

import { Problem, call } from "./api.js";
import { sourceName } from "./client/uploads.js";

const ITEM = "loop.outbox.";
const SECRET = "loop.source";
const SENT = "loop.sent";
const FINAL = new Set([400, 410, 413, 415, 422]); // of one correction; after any other status it is sent again
const SPLIT = "urn:digit-loop:split-batch"; // a refusal of the batch, not of any correction in it
const MAX_BATCH_ITEMS = 100;
const MAX_WAIT_S = 60;

export class Outbox {
  #changed;
  #sending = null;
  #timer = 0;
  #failures = 0;
  #trouble = "";

  /** Calls `changed({ waiting, sent, trouble })` after a change of a number or of the last trouble. */
  constructor(changed) {
    this.#changed = () => changed({ waiting: waiting().length, sent: sent(), trouble: this.#trouble });
    addEventListener("online", () => this.flush());
    addEventListener("storage", this.#changed); // changed by another tab
  }

  /** Store a correction and try to send it. Throws `Problem` if this browser has no space left. */
  add(correction) {
    try {
      localStorage.setItem(ITEM + newKey(), JSON.stringify(correction));
    } catch {
      throw new Problem(0, "this browser has no space left for this page; send the waiting digits first");
    }
    this.flush();
  }

  /** Send what waits, oldest first. */
  flush() {
    this.#sending ??= this.#send().finally(() => { this.#sending = null; });
    this.#changed();
    return this.#sending;
  }

  /** Erase what this browser sent, here and on the server; the next drawing gets a new source. Throws `Problem`. */
  erase() {
    const done = Promise.resolve(this.#sending).then(() => this.#erase()); // no upload may arrive after the erasure
    this.#sending = done.catch(() => null).then(() => { this.#sending = null; this.flush(); });
    return done;
  }

  async #send() {
    clearTimeout(this.#timer);
    for (let size = MAX_BATCH_ITEMS, items; (items = waiting().slice(0, size)).length > 0; ) {
      try {
        const answers = items.length === 1 ? [await this.#one(items[0])] : await this.#batch(items);
        items.forEach((item, i) => this.#settle(item, answers[i]));
        const unsettled = answers.find((problem) => problem !== null && !FINAL.has(problem.status));
        if (unsettled !== undefined) return this.#later(unsettled);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        if (problem.type !== SPLIT) return this.#later(problem);
        size = Math.ceil(items.length / 2);
      }
    }
  }

  /** Null once it is on disk, else the `Problem`. A retry is harmless: the key makes it the same upload. */
  async #one(item) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": keyOf(item), "Loop-Source": secret() };
    try {
      await call("POST", "/v1/corrections", { roles: ["app"], body: localStorage.getItem(item), headers });
      return null;
    } catch (problem) {
      if (problem instanceof Problem) return problem;
      throw problem;
    }
  }

  /** For each item null once it is on disk, else its `Problem`. Throws the `Problem` of the batch: no item is settled. */
  async #batch(items) {
    const body = `{"corrections":[${items.map((item) => withKey(item, localStorage.getItem(item))).join(",")}]}`;
    const headers = { "Content-Type": "application/json", "Loop-Source": secret() };
    const { answers } = await call("POST", "/v1/corrections:batch", { roles: ["app"], body, headers });
    return answers.map(({ status, problem }) =>
      problem ? new Problem(status, problem.detail, problem.retry_after ?? 0, problem.type) : null);
  }

  /** Drop an item that is on disk, or that is refused for good. */
  #settle(item, problem) {
    if (problem !== null && !FINAL.has(problem.status)) return;
    this.#trouble = problem === null ? "" : `refused, and not kept: ${problem.message}`;
    this.#failures = 0;
    localStorage.removeItem(item);
    if (problem === null) localStorage.setItem(SENT, String(sent() + 1));
    this.#changed();
  }

  #later(problem) {
    const seconds = Math.min(MAX_WAIT_S, 2 ** ++this.#failures) * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => this.flush(), 1000 * Math.max(seconds, problem.wait));
    this.#trouble = problem.message;
    this.#changed();
  }

  async #erase() {
    for (const item of waiting()) localStorage.removeItem(item);
    if (!crypto.subtle) throw new Problem(0, "erasing needs HTTPS, or the address 127.0.0.1");
    const source = await sourceName(secret());
    const gone = await call("DELETE", `/v1/sources/${source}`, { roles: ["app"], headers: { "Loop-Source": secret() } });
    for (const item of [SECRET, SENT]) localStorage.removeItem(item);
    return gone;
  }
}

const waiting = () => Object.keys(localStorage).filter((name) => name.startsWith(ITEM)).sort();
const sent = () => Number(localStorage.getItem(SENT) ?? 0);
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const random = (length) => crypto.getRandomValues(new Uint8Array(length));

const keyOf = (item) => item.slice(ITEM.length);

/** The text of a JSON object with `key` in front of its fields; text that is no object stays none, and is refused. */
const withKey = (item, text) => `{"key":${JSON.stringify(keyOf(item))},${text.slice(1)}`;

/** Keys sort by time, until the year 5138. */
const newKey = () => `${Date.now().toString().padStart(14, "0")}-${hex(random(12))}`;

/** This browser's secret: 32 random bytes in base64url, created once. */
function secret() {
  const known = localStorage.getItem(SECRET);
  if (known !== null) return known;
  const made = btoa(String.fromCharCode(...random(32))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  localStorage.setItem(SECRET, made);
  return made;
}
