// Where a device keeps its bytes. A store replaces the value of a name whole or not at all.

import { base64, fromBase64 } from "./bytes.js";
import { LoopError, reason } from "./errors.js";

/** @import { Bytes } from "./bytes.js" */

/**
 * A store of this app that nothing else uses. Names are like paths: `models/DIGEST.mlmodel`.
 *
 * @typedef {object} Store
 * @property {(name: string) => Promise<Bytes | null>} get
 * @property {(name: string, value: Uint8Array) => Promise<void>} set Replaces the value; a kill leaves the old or the new one.
 *   Throws `DiskFull`.
 * @property {(name: string) => Promise<void>} remove
 * @property {(prefix: string) => Promise<string[]>} names Those that begin with `prefix`, sorted.
 * @property {<T>(name: string, work: () => Promise<T>) => Promise<T>} alone Runs `work` while no other tab runs work of that
 *   name. Throws `Busy` if one does.
 */

/** Forgets everything when the page is left: for tests, and for pages that keep nothing. @implements {Store} */
export class MemoryStore {
  /** @type {Map<string, Bytes>} */
  #values = new Map();
  #busy = new Set();

  /** @param {string} name */
  async get(name) {
    return this.#values.get(name)?.slice() ?? null;
  }

  /** @param {string} name @param {Uint8Array} value */
  async set(name, value) {
    this.#values.set(name, new Uint8Array(value));
  }

  /** @param {string} name */
  async remove(name) {
    this.#values.delete(name);
  }

  /** @param {string} prefix */
  async names(prefix) {
    return [...this.#values.keys()].filter((name) => name.startsWith(prefix)).sort();
  }

  /** @template T @param {string} name @param {() => Promise<T>} work */
  alone(name, work) {
    return aloneHere(this.#busy, name, work);
  }
}

/** `localStorage`, for what is small: an outbox, not models. Several stores differ in their prefix. @implements {Store} */
export class LocalStore {
  #prefix;
  #storage;

  /** @param {string} prefix @param {Storage} storage */
  constructor(prefix, storage = localStorage) {
    this.#prefix = prefix;
    this.#storage = storage;
  }

  /** @param {string} name */
  async get(name) {
    const text = this.#storage.getItem(this.#prefix + name);
    return text === null ? null : fromBase64(text);
  }

  /** @param {string} name @param {Uint8Array} value */
  async set(name, value) {
    try {
      this.#storage.setItem(this.#prefix + name, base64(value));
    } catch (thrown) {
      throw full(thrown);
    }
  }

  /** @param {string} name */
  async remove(name) {
    this.#storage.removeItem(this.#prefix + name);
  }

  /** @param {string} prefix */
  async names(prefix) {
    const whole = this.#prefix + prefix;
    const found = Object.keys(this.#storage).filter((name) => name.startsWith(whole));
    return found.map((name) => name.slice(this.#prefix.length)).sort();
  }

  /** @template T @param {string} name @param {() => Promise<T>} work */
  alone(name, work) {
    return aloneInBrowser(`${this.#prefix}${name}`, work);
  }
}

/** IndexedDB: models, and an outbox for weeks offline. @implements {Store} */
export class IndexedStore {
  #name;
  /** @type {Promise<IDBDatabase> | null} */
  #database = null;

  /** @param {string} name The database's name. */
  constructor(name) {
    this.#name = name;
  }

  /** @param {string} name @returns {Promise<Bytes | null>} */
  async get(name) {
    const found = await this.#run("readonly", (values) => values.get(name));
    return found === undefined ? null : new Uint8Array(found);
  }

  /** @param {string} name @param {Uint8Array} value */
  async set(name, value) {
    await this.#run("readwrite", (values) => values.put(value, name));
  }

  /** @param {string} name */
  async remove(name) {
    await this.#run("readwrite", (values) => values.delete(name));
  }

  /** @param {string} prefix @returns {Promise<string[]>} */
  async names(prefix) {
    const range = prefix === "" ? undefined : IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    return (await this.#run("readonly", (values) => values.getAllKeys(range))).map(String);
  }

  /** @template T @param {string} name @param {() => Promise<T>} work */
  alone(name, work) {
    return aloneInBrowser(`${this.#name}/${name}`, work);
  }

  /** One connection; a new one after the browser closed it, or after it did not open. */
  #opened() {
    const forget = () => { this.#database = null; };
    this.#database ??= opened(this.#name, forget).catch((thrown) => {
      forget();
      throw thrown;
    });
    return this.#database;
  }

  /** Resolves when the transaction is complete. @template T @param {IDBTransactionMode} mode @param {(values: IDBObjectStore) => IDBRequest<T>} use */
  async #run(mode, use) {
    const database = await this.#opened();
    return new Promise((/** @type {(value: T) => void} */ resolve, reject) => {
      const transaction = database.transaction("values", mode, { durability: "strict" });
      const request = use(transaction.objectStore("values"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(full(transaction.error));
    });
  }
}

/** @param {string} name @param {() => void} closed @returns {Promise<IDBDatabase>} */
function opened(name, closed) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("values");
    request.onsuccess = () => {
      request.result.onclose = closed;
      request.result.onversionchange = () => { // another tab deletes the database
        request.result.close();
        closed();
      };
      resolve(request.result);
    };
    request.onerror = () => reject(new LoopError("StateUnreadable", `database ${name}: it does not open (${reason(request.error)})`));
  });
}

/** @param {unknown} thrown */
const full = (thrown) => new LoopError("DiskFull", `expected space for this page, got none (${reason(thrown)})`);

/** @type {Set<string>} */
const busyHere = new Set();

/** One tab at a time, by the browser's locks; without them one call of this tab. @template T @param {string} name @param {() => Promise<T>} work */
async function aloneInBrowser(name, work) {
  if (!globalThis.navigator?.locks) return aloneHere(busyHere, name, work);
  return /** @type {Promise<T>} */ (navigator.locks.request(name, { ifAvailable: true }, (lock) => {
    if (lock === null) throw busy(name);
    return work();
  }));
}

/** @template T @param {Set<string>} names @param {string} name @param {() => Promise<T>} work */
async function aloneHere(names, name, work) {
  if (names.has(name)) throw busy(name);
  names.add(name);
  try {
    return await work();
  } finally {
    names.delete(name);
  }
}

/** @param {string} name */
const busy = (name) => new LoopError("Busy", `${name}: another tab or object does this now; try again later`);
