// What an outbox keeps in its store.
//
//     waiting/MILLISECONDS-LIST-KEY   a correction each, named by when it was added, so the oldest is sent first
//     tried/KEY                       it may be on the server, although no answer arrived
//     sent/MILLISECONDS-LIST-KEY      the server's number of an accepted one, the last few, so that it can be taken back
//     undo/KEY                        it is to be taken back
//     promise                         an erasure that is due, and when the server wants the next upload

import { hex, latin1, utf8 } from "./bytes.js";

/** @import { Correction } from "./correction.js" */
/** @import { Store } from "./stores.js" */
/** Keys are in hex here: a key of the app's choice may be no name. @typedef {{ name: string, key: string, to: string, body: string }} Entry */
/** Milliseconds since 1970: everything until `erases` is to be erased; send nothing before `notBefore`. @typedef {{ erases: number | null, notBefore: number | null }} Promised */

const SENT_KEPT = 200;

/** @param {string} key */
export const named = (key) => hex(utf8(key));

export class Waiting {
  #store;
  #last = 0;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** @param {Correction} correction @param {Date} now */
  async add(correction, now) {
    const { erases } = await this.promised(); // later than that too, or a clock that was set back would have it erased
    this.#last = Math.max(now.getTime(), this.#last + 1, (erases ?? 0) + 1);
    await this.#store.set(`waiting/${stamp(this.#last)}-${correction.to}-${named(correction.key)}`, utf8(correction.body));
  }

  async count() {
    return (await this.#store.names("waiting/")).length;
  }

  /** The oldest of one list, as many as fit into a batch; at least one if any waits. @param {{ corrections: number, bytes: number }} batch */
  async first(batch) {
    /** @type {Entry[]} */
    const chosen = [];
    let bytes = 0;
    for (const name of (await this.#store.names("waiting/")).slice(0, batch.corrections)) {
      const data = await this.#store.get(name);
      if (data === null) continue; // another tab removed it
      bytes += data.length + 1;
      const to = name.split("-")[1];
      if (chosen.length && (bytes > batch.bytes || to !== chosen[0].to)) break;
      chosen.push({ name, key: keyOf(name), to, body: new TextDecoder().decode(data) });
    }
    return chosen;
  }

  /** What may be on the server from now on. @param {Entry[]} entries */
  async trying(entries) {
    const known = new Set(await this.#store.names("tried/"));
    for (const { key } of entries) if (!known.has(`tried/${key}`)) await this.#store.set(`tried/${key}`, new Uint8Array());
  }

  /** @param {Entry} entry @param {number | null} id The server's number, if it was accepted. */
  async settle({ name, key }, id) {
    if (id !== null) {
      await this.#store.set(`sent/${name.slice("waiting/".length)}`, utf8(String(id)));
      const old = (await this.#store.names("sent/")).slice(0, -SENT_KEPT);
      for (const each of old) await this.#store.remove(each);
    }
    await this.#store.remove(name);
    await this.#store.remove(`tried/${key}`);
  }

  /** Promise to take a correction back. @param {string} key */
  async undo(key) {
    await this.#store.set(`undo/${named(key)}`, new Uint8Array());
    await this.dropUnsent();
  }

  /** Drop what is to be taken back and was never sent, and marks that a closed page left. */
  async dropUnsent() {
    const waiting = await this.#store.names("waiting/");
    const keys = new Set(waiting.map(keyOf));
    const tried = new Set((await this.#store.names("tried/")).map(keyOf));
    for (const key of tried) if (!keys.has(key)) await this.#store.remove(`tried/${key}`);
    for (const name of waiting) {
      const key = keyOf(name);
      if (tried.has(key) || (await this.#store.get(`undo/${key}`)) === null) continue;
      await this.#store.remove(name);
      await this.#store.remove(`undo/${key}`);
    }
  }

  /** What is to be taken back and no longer waits: keys and the server's numbers, null where there is none. */
  async undone() {
    const waiting = new Set((await this.#store.names("waiting/")).map(keyOf));
    const sent = new Map((await this.#store.names("sent/")).map((name) => [keyOf(name), name]));
    const keys = (await this.#store.names("undo/")).map(keyOf).filter((key) => !waiting.has(key));
    return Promise.all(keys.map(async (key) => {
      const name = sent.get(key);
      const data = name === undefined ? null : await this.#store.get(name);
      return { key, id: data === null ? null : Number(latin1(data)) };
    }));
  }

  /** @param {string} key In hex. */
  async forget(key) {
    await this.#store.remove(`undo/${key}`);
  }

  /** Remove all that was added until then. @param {number} until */
  async empty(until) {
    const stamped = [...(await this.#store.names("waiting/")), ...(await this.#store.names("sent/"))];
    for (const name of stamped) {
      if (stampOf(name) > until) continue;
      await this.#store.remove(name);
      for (const kind of ["tried", "undo"]) await this.#store.remove(`${kind}/${keyOf(name)}`);
    }
  }

  /** When the last one was added, or now: what is added later is not erased. @param {Date} now */
  async latest(now) {
    const stamps = (await this.#store.names("waiting/")).map(stampOf);
    this.#last = [now.getTime(), ...stamps].reduce((one, other) => Math.max(one, other), this.#last);
    return this.#last;
  }

  /** One that cannot be read is none: then the server is asked once too early. @returns {Promise<Promised>} */
  async promised() {
    const data = await this.#store.get("promise");
    const [erases = null, notBefore = null] = data === null ? [] : latin1(data).split(",").map((part) => Number(part) || null);
    return { erases, notBefore };
  }

  /** @param {Promised} promised */
  async promise({ erases, notBefore }) {
    await this.#store.set("promise", utf8(`${erases ?? ""},${notBefore ?? ""}`));
  }
}

/** @param {string} name */
const keyOf = (name) => name.slice(Math.max(name.lastIndexOf("-"), name.lastIndexOf("/")) + 1);

/** @param {string} name */
const stampOf = (name) => Number(name.slice(name.indexOf("/") + 1, name.indexOf("-")));

/** Sorts by time, until the year 33658. @param {number} milliseconds */
const stamp = (milliseconds) => String(milliseconds).padStart(15, "0");
