// Corrections wait here until the server answers that they are on its disk: through reloads, for weeks.

import { fromHex, latin1 } from "./bytes.js";
import { StoredSecret } from "./secrets.js";
import { services as platform } from "./services.js";
import { LoopServer } from "./uploads.js";
import { Waiting } from "./waiting.js";

/** @import { Correction } from "./correction.js" */
/** @import { Secrets } from "./secrets.js" */
/** @import { Services } from "./services.js" */
/** @import { Store } from "./stores.js" */
/** @import { Erased, Fate } from "./uploads.js" */
/** @import { Entry } from "./waiting.js" */

/**
 * @typedef {object} OutboxOptions
 * @property {string} api The server, for example `https://api.example`.
 * @property {string | (() => string)} key The app's key, `loop_app_…`.
 * @property {Store} store A store that nothing else uses.
 * @property {Secrets} [secrets] By default kept in the store.
 * @property {{ corrections: number, bytes: number }} [batch] How much goes into one batch; below the server's limits.
 * @property {Partial<Services>} [services]
 */
/**
 * The result of an upload.
 *
 * @typedef {object} Uploaded
 * @property {{ key: string, id: number | null }[]} accepted On the server's disk now.
 * @property {{ key: string, type: string, detail: string }[]} refused For good, for example `urn:digit-loop:bad-image`.
 * @property {string[]} withdrawn Keys of what was taken back.
 * @property {Erased | null} erased If an erasure was due.
 * @property {number} waiting How many still wait.
 * @property {string | null} why Why they wait, for a screen or a log: what the server answered, or that it did not.
 * @property {Date | null} notBefore When the server wants the next upload; earlier calls send nothing.
 */

const LONGEST_WAIT_SECONDS = 86_400;

/**
 * A correction leaves the outbox only by an answer to it alone (docs/api.md): accepted, or refused for good. A refusal of a batch
 * is never one of a correction. Its idempotency key makes every retry harmless.
 */
export class LoopOutbox {
  #store;
  #waiting;
  #server;
  #secrets;
  #batch;
  #clock;
  /** @type {Promise<Uploaded> | null} */
  #running = null;

  /** @param {OutboxOptions} options */
  constructor({ api, key, store, secrets = new StoredSecret(store), batch = { corrections: 100, bytes: 1 << 20 }, services = {} }) {
    this.#store = store;
    this.#waiting = new Waiting(store);
    this.#server = new LoopServer(api, key, services);
    this.#secrets = secrets;
    this.#batch = batch;
    this.#clock = platform(services).clock;
  }

  /** How many corrections wait. */
  waiting() {
    return this.#waiting.count();
  }

  /** Keep a correction. When this returns, it is in the store. Throws `DiskFull`. @param {Correction} correction */
  async add(correction) {
    await this.#waiting.add(correction, this.#clock.now());
  }

  /**
   * Send what waits, unless the server asked to wait. A call during an upload gets that upload's result. No answer to a correction is
   * not an error: it stays.
   *
   * Throws `Unavailable` if an erasure is due and does not succeed, `Busy`, `DiskFull`.
   *
   * @returns {Promise<Uploaded>}
   */
  upload() {
    this.#running ??= this.#store.alone("upload", () => this.#uploadOnce()).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /**
   * Take a correction back: what was never sent is dropped, anything else is withdrawn on the server by the next `upload()` that
   * reaches it. Of those accepted, the last 200 can be taken back.
   *
   * @param {string} key
   */
  async undo(key) {
    await this.#settled();
    await this.#waiting.undo(key);
    return this.upload();
  }

  /**
   * Delete what waits here and everything that this install has sent; the next correction is of a new source. If the server cannot
   * be reached this throws, and every later `upload()` erases before it sends anything.
   *
   * @returns {Promise<Erased>}
   */
  async erase() {
    const until = await this.#waiting.latest(this.#clock.now());
    await this.#waiting.promise({ ...(await this.#waiting.promised()), erases: until });
    await this.#waiting.empty(until);
    await this.#settled(); // what is on its way now would arrive after the erasure
    return (await this.upload()).erased ?? { uploads: 0, considered: [] };
  }

  /** The corrections of this install on the server, newest first. @param {number | null} before `next` of the page before. */
  async history(before = null) {
    return this.#server.history(await this.#secrets.secret(), before);
  }

  /** Wait for an upload that runs now. */
  async #settled() {
    while (this.#running) await this.#running.catch(() => null);
  }

  /** @returns {Promise<Uploaded>} */
  async #uploadOnce() {
    /** @type {Uploaded} */
    const done = { accepted: [], refused: [], withdrawn: [], erased: null, waiting: 0, why: null, notBefore: null };
    await this.#eraseIfDue(done);
    done.notBefore = await this.#pause();
    if (done.notBefore === null) await this.#sendAll(done);
    [done.waiting, done.notBefore] = [await this.#waiting.count(), await this.#pause()];
    return done;
  }

  /** @param {Uploaded} done */
  async #eraseIfDue(done) {
    const promised = await this.#waiting.promised();
    if (promised.erases === null) return;
    await this.#waiting.empty(promised.erases); // again: the page may have been closed before the first time ended
    done.erased = await this.#server.erase(await this.#secrets.secret());
    await this.#secrets.forget();
    await this.#waiting.promise({ ...promised, erases: null });
  }

  /** @param {Uploaded} done */
  async #sendAll(done) {
    const secret = await this.#secrets.secret();
    await this.#waiting.dropUnsent();
    for (;;) {
      if ((await this.#waiting.promised()).erases !== null) return;
      const next = await this.#waiting.first(this.#batch);
      if (!next.length) break;
      await this.#waiting.trying(next);
      if (!(await this.#send(next, secret, done))) return;
    }
    for (const { key, id } of await this.#waiting.undone()) {
      if (id !== null && !(await this.#server.withdraw(secret, id))) return;
      await this.#waiting.forget(key);
      if (id !== null) done.withdrawn.push(latin1(fromHex(key)));
    }
  }

  /** One correction alone, several as a batch. False if the rest must wait. @param {Entry[]} entries @param {string} secret @param {Uploaded} done @returns {Promise<boolean>} */
  async #send(entries, secret, done) {
    if (entries.length === 1) return this.#settle(entries[0], await this.#sendAlone(entries[0], secret), done);
    const fate = await this.#server.sendBatch(secret, entries[0].to, entries.map(({ body }) => body));
    if (fate.fate === "later") return this.#wait(fate, done);
    if (fate.fate === "split") {
      const half = entries.length >> 1;
      return (await this.#send(entries.slice(0, half), secret, done)) && this.#send(entries.slice(half), secret, done);
    }
    let all = true;
    for (const [i, entry] of entries.entries()) all = (await this.#settle(entry, fate.answers[i], done)) && all;
    return all;
  }

  /** @param {Entry} entry @param {string} secret */
  #sendAlone({ key, ...upload }, secret) {
    return this.#server.send(secret, { ...upload, key: latin1(fromHex(key)) });
  }

  /** Act on the answer to one correction alone. False if it stays. @param {Entry} entry @param {Fate} fate @param {Uploaded} done */
  async #settle(entry, fate, done) {
    if (fate.fate === "later") return this.#wait(fate, done);
    const key = latin1(fromHex(entry.key));
    if (fate.fate === "accepted") done.accepted.push({ key, id: fate.id });
    else done.refused.push({ key, type: fate.type, detail: fate.detail });
    await this.#waiting.settle(entry, fate.fate === "accepted" ? fate.id : null);
    return true;
  }

  /** @param {import("./uploads.js").Later} later @param {Uploaded} done @returns {Promise<false>} */
  async #wait({ seconds, why }, done) {
    done.why = why;
    if (seconds !== null) {
      const until = this.#clock.now().getTime() + 1000 * Math.min(seconds, LONGEST_WAIT_SECONDS);
      const promised = await this.#waiting.promised();
      await this.#waiting.promise({ ...promised, notBefore: Math.max(promised.notBefore ?? 0, until) });
    }
    return false;
  }

  /** The moment before which nothing may be sent, if it is still ahead. One further away than any wait was set by another clock. */
  async #pause() {
    const { notBefore } = await this.#waiting.promised();
    const left = (notBefore ?? 0) - this.#clock.now().getTime();
    return notBefore !== null && left > 0 && left <= 1000 * LONGEST_WAIT_SECONDS ? new Date(notBefore) : null;
  }
}
