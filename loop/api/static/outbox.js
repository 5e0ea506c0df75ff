// Corrections that wait for upload: the JavaScript client's outbox in this browser's storage, with the page's key and a timer.

import { Problem } from "./api.js";
import { hex, latin1, utf8 } from "./client/bytes.js";
import { LoopError } from "./client/errors.js";
import { LoopOutbox } from "./client/outbox.js";
import { StoredSecret } from "./client/secrets.js";
import { LocalStore } from "./client/stores.js";
import { LoopServer } from "./client/uploads.js";
import { Waiting } from "./client/waiting.js";
import { keyFor } from "./keys.js";

const STORE = "loop.out.";
const SECRET = "loop.source";
const SENT = "loop.sent";
const OLD = "loop.outbox."; // where earlier versions of this page kept what waits
const NO_KEY = "this needs a key of role app";
const MAX_WAIT_S = 60;
const ROOM_BYTES = 16 << 10; // a mark for each of a batch

/** Leaves room for the marks that the outbox makes while it sends: a full storage could otherwise never be emptied. */
class RoomyStore extends LocalStore {
  async set(name, value) {
    if (name.startsWith("waiting/")) {
      await super.set("room", new Uint8Array(ROOM_BYTES));
      await super.remove("room");
    }
    await super.set(name, value);
  }
}

const store = new RoomyStore(STORE);
const key = () => keyFor(["app"]);
const secrets = new StoredSecret({
  get: async () => localStorage.getItem(SECRET) === null ? null : utf8(localStorage.getItem(SECRET)),
  set: async (_, value) => localStorage.setItem(SECRET, latin1(value)),
  remove: async () => localStorage.removeItem(SECRET),
});

export class Outbox {
  #changed;
  #outbox = new LoopOutbox({ api: location.origin, key, store, secrets });
  #sending = null;
  #timer = 0;
  #failures = 0;
  #trouble = "";

  /** Calls `changed({ waiting, sent, trouble })` after a change of a number or of the last trouble. */
  constructor(changed) {
    this.#changed = async () => changed({ waiting: oldNames().length + await this.#outbox.waiting(), sent: sent(), trouble: this.#trouble });
    addEventListener("online", () => this.flush());
    addEventListener("storage", this.#changed); // changed by another tab
  }

  /** Store a correction and try to send it. Throws `LoopError` (`DiskFull`) if this browser has no space left. */
  async add(said) {
    const name = hex(crypto.getRandomValues(new Uint8Array(16)));
    await this.#outbox.add({ key: name, body: JSON.stringify({ key: name, ...said }), to: "corrections" });
    this.flush();
  }

  /** Send what waits, oldest first. */
  flush() {
    this.#sending ??= this.#send().finally(() => { this.#sending = null; this.#changed(); });
    this.#changed();
    return this.#sending;
  }

  /**
   * Erase what this browser sent, here and on the server; the next drawing gets a new source. Throws `Problem` if this is not
   * possible here, and `LoopError` if the server cannot be reached: then it is erased there before anything else is sent.
   */
  async erase() {
    if (!crypto.subtle) throw new Problem(0, "erasing needs HTTPS, or the address 127.0.0.1");
    if (key() === null) throw new Problem(401, NO_KEY);
    for (const name of oldNames()) localStorage.removeItem(name);
    try {
      const gone = await this.#outbox.erase();
      localStorage.removeItem(SENT);
      return gone;
    } catch (refused) {
      this.#later(refused);
      throw refused;
    } finally {
      this.#changed();
    }
  }

  async #send() {
    clearTimeout(this.#timer);
    try {
      await takeOver();
      if (key() === null) {
        this.#trouble = await this.#outbox.waiting() ? NO_KEY : "";
        return;
      }
      while (this.#settle(await this.#outbox.upload())); // once more if a drawing was added at the end
    } catch (refused) {
      this.#later(refused);
    }
  }

  /** Count and show what an upload did. Whether there is more to send at once. */
  #settle({ accepted, refused, erased, waiting, why, notBefore }) {
    if (erased !== null) localStorage.removeItem(SENT);
    if (accepted.length) localStorage.setItem(SENT, String(sent() + accepted.length));
    if (accepted.length + refused.length) this.#failures = 0;
    if (refused.length) this.#trouble = `refused, and not kept: ${refused.at(-1).detail}`;
    else if (accepted.length || !waiting) this.#trouble = "";
    this.#changed();
    if (waiting && why === null && notBefore === null) return true;
    if (waiting) this.#later(new LoopError("Unavailable", why ?? "the server asked to wait"), notBefore);
    return false;
  }

  /** Try again after a while, not before a moment that the server named. */
  #later(refused, notBefore = null) {
    if (!(refused instanceof LoopError)) throw refused;
    const seconds = Math.min(MAX_WAIT_S, 2 ** ++this.#failures) * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => this.flush(), Math.max(1000 * seconds, notBefore === null ? 0 : notBefore - Date.now()));
    this.#trouble = refused.detail;
  }
}

const sent = () => Number(localStorage.getItem(SENT) ?? 0);
const oldNames = () => Object.keys(localStorage).filter((name) => name.startsWith(OLD)).sort();

/**
 * Move what an earlier version of this page left waiting: JSON under its key, without the key in it. The name in the store follows
 * from the key, so one that is moved twice is there once. Where the storage is too full to move one, it is sent from where it is.
 */
async function takeOver() {
  for (const name of oldNames()) {
    const [old, text] = [name.slice(OLD.length), localStorage.getItem(name)];
    const moved = { key: old, body: `{"key":${JSON.stringify(old)},${text.slice(1)}`, to: "corrections" };
    try {
      await new Waiting(store).add(moved, new Date(Number.parseInt(old, 10) || 0));
    } catch (full) {
      if (!(full instanceof LoopError)) throw full;
      if (key() === null) return;
      const { fate, why } = await new LoopServer(location.origin, key).send(await secrets.secret(), moved);
      if (fate === "later") throw new LoopError("Unavailable", why);
      localStorage.removeItem(name); // first, because the storage is full
      if (fate === "accepted") localStorage.setItem(SENT, String(sent() + 1));
    }
    localStorage.removeItem(name);
  }
}
