// This install's secret: 32 random bytes in base64url, made at the first call. Its source on the server is a hash of them.

import { base64, latin1, utf8 } from "./bytes.js";

/** @import { Store } from "./stores.js" */
/** `forget` is called after an erasure: the next upload is a new source. @typedef {{ secret: () => Promise<string>, forget: () => Promise<void> }} Secrets */

const NAME = "secret";

/** Kept in a store. On a phone keep it in the keychain instead. @implements {Secrets} */
export class StoredSecret {
  #store;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  async secret() {
    const known = await this.#store.get(NAME);
    if (known !== null) return latin1(known);
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    const made = base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    await this.#store.set(NAME, utf8(made));
    return made;
  }

  async forget() {
    await this.#store.remove(NAME);
  }
}
