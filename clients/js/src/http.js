// Requests with limits: of length, of time, and no redirects. What fails names the rule of loop/feed/refusals.py.

import { LoopError, reason } from "./errors.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Services } from "./services.js" */

/**
 * Send a request and hand its answer to `use`, which reads the pieces of its body as they arrive. Throws `Unavailable`
 * without an answer, `TooSlow`, and what `use` throws; the transfer ends with `use`.
 *
 * @template T
 * @param {Services} services @param {string} url @param {RequestInit} init
 * @param {(response: Response, pieces: AsyncIterable<Bytes>) => Promise<T>} use @returns {Promise<T>}
 */
export async function exchange(services, url, init, use) {
  const abort = new AbortController();
  const watch = new Watch(services);
  const limited = /** @type {RequestInit} */ ({ ...init, signal: abort.signal, cache: "no-store", credentials: "omit", redirect: "error" });
  try {
    const response = await watch.wait(url, services.fetch(url, limited));
    return await use(response, pieces(response, watch, url));
  } finally {
    abort.abort();
  }
}

/** The whole body. Throws `TooLong` beyond `most` bytes. @param {AsyncIterable<Bytes>} pieces @param {number} most @param {string} path */
export async function whole(pieces, most, path) {
  /** @type {Bytes[]} */
  const parts = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > most) throw new LoopError("TooLong", `${path}: expected at most ${most} bytes, got more`);
    parts.push(piece);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** @param {Response} response @param {Watch} watch @param {string} url @returns {AsyncGenerator<Bytes>} */
async function* pieces(response, watch, url) {
  if (!response.body) {
    // React Native's fetch has no streams: the body is there only as a whole.
    const body = new Uint8Array(await watch.wait(url, response.arrayBuffer()));
    watch.received(url, body.length);
    yield body;
    return;
  }
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await watch.wait(url, reader.read());
    if (done) return;
    watch.received(url, value.length);
    yield /** @type {Bytes} */ (value);
  }
}

/** How long an answer may take: some seconds, and more the more has arrived. */
class Watch {
  #services;
  #begun;
  #bytes = 0;

  /** @param {Services} services */
  constructor(services) {
    this.#services = services;
    this.#begun = services.clock.uptime();
  }

  get #left() {
    const { seconds, bytesPerSecond } = this.#services.timeouts;
    return seconds + this.#bytes / bytesPerSecond - (this.#services.clock.uptime() - this.#begun);
  }

  /** @param {string} url @param {number} count */
  received(url, count) {
    this.#bytes += count;
    if (this.#left < 0) throw this.#slow(url);
  }

  /** @template T @param {string} url @param {Promise<T>} promise @returns {Promise<T>} */
  async wait(url, promise) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const late = new Promise((_, /** @type {(error: LoopError) => void} */ reject) => {
      timer = setTimeout(() => reject(this.#slow(url)), Math.max(0, 1000 * this.#left) + 1);
    });
    try {
      return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
    } catch (thrown) {
      if (thrown instanceof LoopError) throw thrown;
      throw new LoopError("Unavailable", `${url}: the server does not answer (${reason(thrown)})`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {string} url */
  #slow(url) {
    const spent = Math.round(this.#services.clock.uptime() - this.#begun);
    return new LoopError("TooSlow", `${url}: expected an answer sooner, got ${this.#bytes} bytes in ${spent} s`);
  }
}
