// A web server or CDN with the files of a feed.

import { joined } from "./bytes.js";
import { LoopError } from "./errors.js";
import { exchange, whole } from "./http.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Services } from "./services.js" */
/** @import { Store } from "./stores.js" */

/** Paths below a site (loop/feed/layout.py): only numbers and digests vary. */
export const PATHS = {
  feed: "feed.json",
  asking: "asking.json",
  root: (/** @type {number} */ version) => `root/${version}.json`,
  model: (/** @type {string} */ digest) => `models/${digest}.mlmodel`,
  golden: (/** @type {string} */ digest) => `golden/${digest}.json`,
};
const CHUNK_BYTES = 256 << 10;

export class Source {
  #site;
  #services;

  /** @param {string} site The folder of `feed.json`. @param {Services} services */
  constructor(site, services) {
    this.#site = site.replace(/\/+$/, "");
    this.#services = services;
  }

  /** A small file; null where there is none. Throws `TooLong`, `TooSlow`, `Unavailable`. @param {string} path @param {number} most */
  async read(path, most) {
    return exchange(this.#services, `${this.#site}/${path}`, {}, async (response, pieces) => {
      if (response.status === 404) return null;
      if (response.status !== 200) throw unavailable(path, "status 200", response.status);
      return whole(pieces, most, path);
    });
  }

  /**
   * A file of `length` bytes. It resumes what an earlier call left in the store below `place`.
   *
   * Throws `TooLong` at the first byte too many (nothing is kept), `Truncated` if the server ends early, and `Unavailable` or
   * `TooSlow` if it fails (received bytes are kept).
   *
   * @param {string} path @param {number} length @param {Store} store @param {string} place @returns {Promise<Bytes>}
   */
  async download(path, length, store, place) {
    const partial = await Partial.at(store, place);
    if (partial.length > length) await partial.forget();
    if (partial.length < length) await this.#resume(path, length, partial);
    if (partial.length < length) {
      throw new LoopError("Truncated", `${path}: expected ${length} bytes, got ${partial.length}; the next sync resumes there`);
    }
    return partial.bytes();
  }

  /** @param {string} path @param {number} length @param {Partial} partial @returns {Promise<void>} */
  async #resume(path, length, partial) {
    const from = partial.length;
    /** @type {RequestInit} */
    const init = from > 0 ? { headers: { Range: `bytes=${from}-` } } : {};
    const again = await exchange(this.#services, `${this.#site}/${path}`, init, async (response, pieces) => {
      if (response.status === 404) throw new LoopError("Unavailable", `${path}: the server has no such file`);
      const range = response.headers.get("Content-Range");
      // Another origin may hide where its answer begins: then the whole file is fetched.
      const begins = response.status === 206 && from > 0 && (range === null || range.startsWith(`bytes ${from}-`));
      if (response.status !== 200 && !begins) throw unavailable(path, "status 200 or 206", response.status);
      if (!begins || range === null) await partial.forget();
      if (begins && range === null) return true;
      await receive(pieces, path, length, partial);
      return false;
    });
    if (again) await this.#resume(path, length, partial);
  }
}

/** @param {AsyncIterable<Bytes>} pieces @param {string} path @param {number} length @param {Partial} partial */
async function receive(pieces, path, length, partial) {
  try {
    for await (const piece of pieces) {
      const over = partial.length + piece.length - length;
      if (over > 0) {
        await partial.forget();
        throw new LoopError("TooLong", `${path}: got at least ${over} bytes more than expected`);
      }
      await partial.add(piece);
    }
  } finally {
    await partial.keep();
  }
}

/** A download that is not complete, in pieces below one name. */
class Partial {
  #store;
  #place;
  /** @type {Bytes[]} */
  #kept;
  /** @type {Bytes[]} */
  #fresh = [];
  length;

  /** @param {Store} store @param {string} place @param {Bytes[]} kept */
  constructor(store, place, kept) {
    this.#store = store;
    this.#place = place;
    this.#kept = kept;
    this.length = kept.reduce((length, part) => length + part.length, 0);
  }

  /** @param {Store} store @param {string} place */
  static async at(store, place) {
    /** @type {Bytes[]} */
    const kept = [];
    for (const name of await store.names(`${place}/`)) kept.push((await store.get(name)) ?? new Uint8Array());
    return new Partial(store, place, kept);
  }

  /** @param {Bytes} piece */
  async add(piece) {
    this.#fresh.push(piece);
    this.length += piece.length;
    if (this.#fresh.reduce((length, part) => length + part.length, 0) >= CHUNK_BYTES) await this.keep();
  }

  async keep() {
    if (!this.#fresh.length) return;
    const chunk = joined(this.#fresh);
    await this.#store.set(`${this.#place}/${String(this.#kept.length).padStart(6, "0")}`, chunk);
    this.#kept.push(chunk);
    this.#fresh = [];
  }

  async forget() {
    [this.#kept, this.#fresh, this.length] = [[], [], 0];
    for (const name of await this.#store.names(`${this.#place}/`)) await this.#store.remove(name);
  }

  bytes() {
    return joined(this.#kept);
  }
}

/** @param {string} path @param {string} expected @param {number} status */
const unavailable = (path, expected, status) => new LoopError("Unavailable", `${path}: expected ${expected}, got ${status}`);
