// A device that follows a feed: newer roots, the feed, the model that it names (loop/feed/client/syncing.py).

import { base64, hex } from "./bytes.js";
import { consider } from "./considering.js";
import { digestOf } from "./cryptography.js";
import { LIMITS } from "./documents.js";
import { LoopError, reason } from "./errors.js";
import { MILLION } from "./fields.js";
import { loaded, PIXELS, tested } from "./selftest.js";
import { services as platform } from "./services.js";
import { PATHS, Source } from "./source.js";
import * as states from "./state.js";
import * as trust from "./trust.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Feed, Release } from "./documents.js" */
/** @import { LoadModel, Model } from "./selftest.js" */
/** @import { Services } from "./services.js" */
/** @import { Held, State } from "./state.js" */
/** @import { Store } from "./stores.js" */
/** @import { Trusted } from "./trust.js" */

/**
 * @typedef {object} PhoneOptions
 * @property {string} site The folder of `feed.json` on a server or CDN, for example `https://api.example/v1`.
 * @property {Bytes} root The root document that is built into the app; a newer one in a later version of the app counts.
 * @property {Store} store A store that nothing else uses.
 * @property {LoadModel} loadModel
 * @property {string} [channel] Family and format, `cnn.mlmodel`; always the same for one store.
 * @property {readonly [number, number] | null} [ios] The version of iOS, for React Native; null elsewhere.
 * @property {Partial<Services>} [services]
 */
/**
 * The result of a sync. With `current` null no installed model may run; the app uses its built-in one.
 *
 * @typedef {object} Synced
 * @property {boolean} installed
 * @property {string} why The reason, for a log.
 * @property {number} epoch
 * @property {number} sequence
 * @property {number} root
 * @property {Date} expires
 * @property {boolean} urgent
 * @property {Held | null} current
 * @property {Held | null} previous
 * @property {string[]} withdrawn If the app's built-in model is among these digests, do not use it either.
 * @property {string} askingWhy What became of the asking policy, for a log.
 */

/**
 * Trusted state is in the store before it is used, so a page that is closed never trusts an older state than before. A withdrawn
 * model is dropped at once. The switch is one write. After any refusal the device keeps its model.
 */
export class LoopPhone {
  #store;
  #root;
  #source;
  #services;
  #load;
  #ios;
  /** @type {State} */
  #state;
  /** @type {{ held: Held, model: Model } | null} */
  #loaded = null;
  /** @type {Promise<Synced> | null} */
  #running = null;

  /** @param {PhoneOptions} options @param {Services} services @param {State} state */
  constructor(options, services, state) {
    this.#store = options.store;
    this.#root = options.root;
    this.#services = services;
    this.#load = options.loadModel;
    this.#ios = options.ios ?? null;
    this.#source = new Source(options.site, services);
    this.#state = state;
  }

  /**
   * Open the device in a store, or make a new one. Throws `StateUnreadable`, `NoChannel`, `DiskFull`, `Unsupported`, or a rule that
   * the app's root breaks.
   *
   * @param {PhoneOptions} options
   */
  static async open(options) {
    const services = platform(options.services);
    const channel = options.channel ?? "cnn.mlmodel";
    let state = await states.load(options.store, services.cryptography);
    if (state === null) {
      const trusted = await trust.begin(options.root, services.cryptography);
      const device = hex(services.cryptography.random(16));
      state = { trusted, device, channel, current: null, previous: null, confirmPpm: null, asking: null };
      await states.save(options.store, state);
    }
    if (state.channel !== channel) {
      throw new LoopError("NoChannel", `expected channel ${state.channel}, as at the first start; got ${channel}`);
    }
    return new LoopPhone(options, services, state);
  }

  /** The installed model's version and digests; null if none may run. */
  get current() {
    return this.#state.current;
  }

  /** What the device trusts: the versions of root, epoch and feed, for a screen or a log. */
  get trusts() {
    const { root, sequence } = this.#state.trusted;
    return { root: root.version, epoch: root.epoch, sequence };
  }

  /**
   * The probability with which to send a right answer as a confirmation; null before the first trusted feed, and where the feed
   * asks for none.
   */
  get confirmRate() {
    return this.#state.confirmPpm ? this.#state.confirmPpm / MILLION : null;
  }

  /** The asking policy that is valid now. Null: send no drawing that nobody corrected, and ask nothing. */
  get asking() {
    const held = this.#state.asking;
    return held === null || this.#services.clock.now() >= held.expires ? null : held.policy;
  }

  /**
   * Decide about a drawing that nobody corrected: send it or not, ask the user or not. The decision is in the store before it is
   * returned, and is the same when the drawing is considered again. Throws `BadField` for probabilities that are none, `Busy`.
   *
   * @param {Bytes} pixels @param {ArrayLike<number>} probabilities
   */
  async consider(pixels, probabilities) {
    const digest = await digestOf(this.#services.cryptography, pixels);
    const now = this.#services.clock.now();
    return this.#store.alone("consider", () => consider(this.#store, digest, probabilities, this.asking, now));
  }

  /**
   * The installed model, loaded; null if none may run. The first call loads it and answers one picture, so that the first drawing
   * does not wait. Throws `DoesNotLoad`.
   *
   * @returns {Promise<{ held: Held, model: Model } | null>}
   */
  async model() {
    const held = this.#state.current;
    if (held === null) return null;
    if (this.#loaded !== null && same(this.#loaded.held, held)) return this.#loaded;
    const data = await this.#store.get(PATHS.model(held.digest));
    if (data === null) throw new LoopError("DoesNotLoad", `model ${held.version}: it is not in the store; sync again`);
    const fresh = { held, model: await loaded(this.#load, data) };
    await fresh.model.probabilities(new Uint8Array(PIXELS));
    if (same(this.#state.current, held)) this.#loaded = fresh;
    return fresh;
  }

  /**
   * Check for a newer model once. A call during a sync gets that sync's result. Throws `LoopError`, which names the broken rule;
   * the device keeps what it trusts and runs.
   *
   * @returns {Promise<Synced>}
   */
  sync() {
    this.#running ??= this.#store.alone("sync", () => this.#syncOnce()).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #syncOnce() {
    // Another tab may have synced since: its state counts, not the one in memory.
    this.#state = (await states.load(this.#store, this.#services.cryptography)) ?? this.#state;
    await this.#trust(await trust.builtIn(this.#state.trusted, this.#root, this.#services.cryptography));
    await this.#followRoots();
    const data = await this.#source.read(PATHS.feed, LIMITS.document);
    if (data === null) throw new LoopError("Unavailable", `${PATHS.feed}: the server has no such file`);
    const now = this.#services.clock.now();
    const { trusted, feed } = await trust.accept(this.#state.trusted, data, now, this.#services.cryptography);
    const before = this.#state.current;
    await this.#save(await this.#withoutWithdrawn(trusted, feed));
    const device = { name: this.#state.device, channel: this.#state.channel, ios: this.#ios };
    const choice = await trust.choose(feed, device, this.#state.current?.digest ?? null, this.#services.cryptography);
    if (choice.installs) await this.#install(choice.release);
    const askingWhy = await this.#ask(now); // last: no policy ever keeps a model away
    await this.#tidy();
    const dropped = before !== null && feed.withdrawn.includes(before.digest) ? `version ${before.version} was withdrawn; ` : "";
    const { current, previous } = this.#state;
    const { epoch, sequence, expires, withdrawn } = feed;
    const root = this.#state.trusted.root.version;
    const { urgent } = choice.release;
    return {
      installed: choice.installs, why: dropped + choice.why, epoch, sequence, root, expires, urgent, current, previous, withdrawn,
      askingWhy,
    };
  }

  async #followRoots() {
    for (let count = 0; count < LIMITS.roots; count += 1) {
      const data = await this.#source.read(PATHS.root(this.#state.trusted.root.version + 1), LIMITS.document);
      if (data === null) return;
      await this.#trust(await trust.follow(this.#state.trusted, data, this.#services.cryptography));
    }
  }

  /** A policy of another epoch may be a thief's, so it is forgotten like the sequences. @param {Trusted} trusted */
  async #trust(trusted) {
    const { asking, trusted: before } = this.#state;
    await this.#save({ ...this.#state, trusted, asking: trusted.root.epoch === before.root.epoch ? asking : null });
  }

  /** The state with a withdrawn or damaged model replaced by the previous one, or by none. @param {Trusted} trusted @param {Feed} feed */
  async #withoutWithdrawn(trusted, feed) {
    const usable = [];
    for (const held of [this.#state.current, this.#state.previous]) {
      if (held !== null && !feed.withdrawn.includes(held.digest) && (await this.#isIntact(held))) usable.push(held);
    }
    const [current = null, previous = null] = usable;
    return { ...this.#state, trusted, confirmPpm: feed.confirmPpm, current, previous };
  }

  /** @param {Held} held */
  async #isIntact(held) {
    const data = await this.#store.get(PATHS.model(held.digest));
    return data !== null && (await digestOf(this.#services.cryptography, data)) === held.digest;
  }

  /** Download missing files, check them and switch. A file gets its name after every check. @param {Release} release */
  async #install(release) {
    const held = { version: release.version, digest: release.digest, goldenDigest: release.goldenDigest };
    const [modelPath, goldenPath] = [PATHS.model(held.digest), PATHS.golden(held.goldenDigest)];
    const files = {
      model: await this.#fetch(modelPath, held.digest, release.length),
      golden: await this.#fetch(goldenPath, held.goldenDigest, release.goldenLength),
    };
    let model;
    try {
      model = await tested(this.#state.channel, release, files, this.#load, this.#services.cryptography);
    } catch (thrown) {
      await this.#forget(`partial/${held.digest}/`, `partial/${held.goldenDigest}/`);
      throw thrown;
    }
    await this.#store.set(goldenPath, files.golden);
    await this.#store.set(modelPath, files.model);
    const { current, previous } = this.#state;
    await this.#save({ ...this.#state, current: held, previous: same(current, held) ? previous : current });
    this.#loaded = { held, model };
  }

  /** The installed file if there is one, as after a rollback, else a download. @param {string} path @param {string} digest @param {number} length */
  async #fetch(path, digest, length) {
    const kept = await this.#store.get(path);
    if (kept !== null && (await digestOf(this.#services.cryptography, kept)) === digest) return kept;
    return this.#source.download(path, length, this.#store, `partial/${digest}`);
  }

  /** Read the asking policy. A refused one leaves the last one in place until that expires. @param {Date} now */
  async #ask(now) {
    const { trusted, asking } = this.#state;
    try {
      const data = await this.#source.read(PATHS.asking, LIMITS.document);
      if (data === null) return "the server publishes no asking policy";
      const found = await trust.acceptAsking(trusted, asking?.seen ?? null, data, now, this.#services.cryptography);
      const { expires, policy } = found.asking;
      await this.#save({ ...this.#state, asking: { seen: found.seen, expires, policy } });
      return "the policy is valid";
    } catch (thrown) {
      if (thrown instanceof LoopError && thrown.rule !== "DiskFull") return `refused: ${reason(thrown)}`;
      throw thrown;
    }
  }

  /** Remove every file that the state does not name. */
  async #tidy() {
    const kept = new Set();
    for (const held of [this.#state.current, this.#state.previous]) {
      if (held !== null) kept.add(PATHS.model(held.digest)).add(PATHS.golden(held.goldenDigest));
    }
    for (const kind of ["models/", "golden/", "partial/"]) {
      for (const name of await this.#store.names(kind)) if (!kept.has(name)) await this.#store.remove(name);
    }
  }

  /** @param {string[]} prefixes */
  async #forget(...prefixes) {
    for (const prefix of prefixes) for (const name of await this.#store.names(prefix)) await this.#store.remove(name);
  }

  /** @param {State} next */
  async #save(next) {
    if (base64(states.bytes(next)) !== base64(states.bytes(this.#state))) await states.save(this.#store, next);
    this.#state = next;
    if (this.#loaded !== null && !same(this.#loaded.held, next.current)) this.#loaded = null;
  }
}

/** @param {Held | null} one @param {Held | null} other */
const same = (one, other) => one?.digest === other?.digest && one?.goldenDigest === other?.goldenDigest && one?.version === other?.version;
