// Corrections on their way up: kept in this browser until the server says that they are on its disk, through reloads.

import { Problem, call } from "./api.js";

const ITEM = "loop.outbox.";
const SECRET = "loop.source";
const SENT = "loop.sent";
const REFUSED = new Set([400, 413, 415, 422]); // for good; all else is worth another try
const LONGEST_S = 60;

export class Outbox {
  #changed;
  #sending = null;
  #timer = 0;
  #failures = 0;
  #said = "";

  /** `changed({ waiting, sent, said })` is called whenever a number or the last trouble is another. */
  constructor(changed) {
    this.#changed = () => changed({ waiting: waiting().length, sent: sent(), said: this.#said });
    addEventListener("online", () => this.flush());
    addEventListener("storage", this.#changed); // another tab's doing
  }

  /** Keep a correction and try to send it. Throws `Problem` where this browser has no room left. */
  add(correction) {
    try {
      localStorage.setItem(ITEM + newKey(), JSON.stringify(correction));
    } catch {
      throw new Problem(0, "this browser keeps nothing more for this page; what waits must be sent first");
    }
    this.flush();
  }

  /** Send what waits, one after another, oldest first. */
  flush() {
    this.#sending ??= this.#send().finally(() => { this.#sending = null; });
    this.#changed();
    return this.#sending;
  }

  /** What this browser sent is gone, here and there; the next drawing has a new source. Throws `Problem`. */
  erase() {
    const done = Promise.resolve(this.#sending).then(() => this.#erase()); // nothing arrives after its erasure
    this.#sending = done.catch(() => null).then(() => { this.#sending = null; this.flush(); });
    return done;
  }

  async #send() {
    clearTimeout(this.#timer);
    for (let item; (item = waiting()[0]); ) {
      const answer = await this.#one(item.slice(ITEM.length), localStorage.getItem(item));
      if (answer !== null && !REFUSED.has(answer.status)) return this.#later(answer);
      this.#said = answer === null ? "" : `refused, and not kept: ${answer.message}`;
      this.#failures = 0;
      localStorage.removeItem(item);
      if (answer === null) localStorage.setItem(SENT, String(sent() + 1));
      this.#changed();
    }
  }

  /** Null once it is on disk, else the `Problem`. A second sending is harmless: the key makes it the same upload. */
  async #one(key, body) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key, "Loop-Source": secret() };
    try {
      await call("POST", "/v1/corrections", { roles: ["app"], body, headers });
      return null;
    } catch (problem) {
      if (problem instanceof Problem) return problem;
      throw problem;
    }
  }

  #later(problem) {
    const seconds = Math.min(LONGEST_S, 2 ** ++this.#failures) * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => this.flush(), 1000 * Math.max(seconds, problem.wait));
    this.#said = problem.message;
    this.#changed();
  }

  async #erase() {
    for (const item of waiting()) localStorage.removeItem(item);
    const source = await sourceName(secret());
    const gone = await call("DELETE", `/v1/sources/${source}`, { roles: ["app"], headers: { "Loop-Source": secret() } });
    for (const item of [SECRET, SENT]) localStorage.removeItem(item);
    return gone;
  }
}

/** The name that a secret certifies, as in loop/access.py. */
export async function sourceName(own) {
  if (!crypto.subtle) throw new Problem(0, "erasing needs https, or this machine's own address");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`digit-loop source\n${own}`));
  return `s${hex(new Uint8Array(digest)).slice(0, 40)}`;
}

const waiting = () => Object.keys(localStorage).filter((name) => name.startsWith(ITEM)).sort();
const sent = () => Number(localStorage.getItem(SENT) ?? 0);
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const random = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Sorts by time until the year 5138. */
const newKey = () => `${Date.now().toString().padStart(14, "0")}-${hex(random(12))}`;

/** Who this browser is: 32 random bytes in base64url, made once. */
function secret() {
  const known = localStorage.getItem(SECRET);
  if (known !== null) return known;
  const made = btoa(String.fromCharCode(...random(32))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  localStorage.setItem(SECRET, made);
  return made;
}
