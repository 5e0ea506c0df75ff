// The server's API for apps (docs/api.md), and what its answers mean.

import { utf8 } from "./bytes.js";
import { digestOf } from "./cryptography.js";
import { LoopError, reason } from "./errors.js";
import { exchange, whole } from "./http.js";
import { png } from "./png.js";
import { SIDE } from "./picture.js";
import { services as platform } from "./services.js";

/** @import { Services } from "./services.js" */
/** An RFC 9457 problem document. @typedef {{ type?: string, detail?: string, retry_after?: number }} Problem */
/** `json` is null where the body is none. @typedef {{ status: number, json: any, retryAfter: number | null }} Reply */
/**
 * What an answer means for one correction: it is on the server's disk, the same request is never accepted, or the same is to be
 * sent again, after so many seconds if the answer has them.
 *
 * @typedef {{ fate: "accepted", id: number | null } | { fate: "refused", type: string, detail: string } | Later} Fate
 */
/** @typedef {{ fate: "later", seconds: number | null, why: string }} Later */
/** @typedef {{ fate: "answers", answers: Fate[] } | { fate: "split" } | Later} BatchFate */
/** What the server deleted: how many uploads, and the versions that may have learned from them. @typedef {{ uploads: number, considered: number[] }} Erased */
/** The champion's reading of a picture. @typedef {{ label: number, probabilities: number[], version: number }} Prediction */

export const SPLIT_BATCH = "urn:digit-loop:split-batch";
const FINAL = new Set([400, 410, 413, 415, 422]);
const LONGEST_ANSWER = 4 << 20;

/** This install's name on the server (loop/access.py). @param {string} secret */
export async function sourceName(secret, cryptography = platform().cryptography) {
  return `s${(await digestOf(cryptography, utf8(`digit-loop source\n${secret}`))).slice(0, 40)}`;
}

export class LoopServer {
  #api;
  #key;
  #services;

  /** @param {string} api For example `https://api.example`. @param {string | (() => string)} key The app's key, `loop_app_…`. @param {Partial<Services>} services */
  constructor(api, key, services = {}) {
    this.#api = api.replace(/\/+$/, "");
    this.#key = key;
    this.#services = platform(services);
  }

  /** @param {string} secret @param {{ to: string, key: string, body: string }} upload @returns {Promise<Fate>} */
  async send(secret, { to, key, body }) {
    const reply = await this.#reply("POST", to, secret, body, { "Idempotency-Key": key });
    return reply === null ? later(null, "the server does not answer") : fate(reply.status, reply.json, reply.json, reply.retryAfter);
  }

  /** @param {string} secret @param {string} to @param {string[]} bodies @returns {Promise<BatchFate>} */
  async sendBatch(secret, to, bodies) {
    const reply = await this.#reply("POST", `${to}:batch`, secret, `{"${to}":[${bodies.join(",")}]}`);
    if (reply === null) return later(null, "the server does not answer");
    const { status, json, retryAfter } = reply;
    if (status === 200 && Array.isArray(json?.answers) && json.answers.length === bodies.length) {
      const answers = json.answers.map((/** @type {any} */ each) => fate(Number(each?.status), each?.accepted, each?.problem, null));
      return { fate: "answers", answers };
    }
    // A proxy's own 413 has no type: halves are what it lets through.
    if (status === 413 || (status === 400 && json?.type === SPLIT_BATCH)) return { fate: "split" };
    return later(retryAfter ?? seconds(json), String(json?.detail ?? `status ${status}`));
  }

  /** Whether the correction is taken back, or no longer there. @param {string} secret @param {number} id */
  async withdraw(secret, id) {
    const reply = await this.#reply("DELETE", `corrections/${id}`, secret);
    return reply !== null && (reply.status === 200 || reply.status === 404);
  }

  /** Throws `Unavailable` unless the server has erased the source. @param {string} secret @returns {Promise<Erased>} */
  async erase(secret) {
    const reply = await this.#reply("DELETE", `sources/${await sourceName(secret, this.#services.cryptography)}`, secret);
    if (reply?.status === 404) return { uploads: 0, considered: [] }; // it has sent nothing
    return this.#expected(reply, "erasure");
  }

  /** The corrections of this install, newest first, and the `before` of the next page. @param {string} secret @param {number | null} before @returns {Promise<{ corrections: any[], next: number | null }>} */
  async history(secret, before = null, limit = 50) {
    const page = before === null ? "" : `&before=${before}`;
    return this.#expected(await this.#reply("GET", `corrections?limit=${limit}${page}`, secret), "corrections");
  }

  /** The champion's answer, for pages that run no model of their own. @param {Uint8Array} pixels @returns {Promise<Prediction>} */
  async predict(pixels) {
    return this.#expected(await this.#reply("POST", "predictions", null, png(pixels, SIDE), { "Content-Type": "image/png" }), "prediction");
  }

  /** @param {Reply | null} reply @param {string} what */
  #expected(reply, what) {
    if (reply?.status === 200) return reply.json;
    const got = reply === null ? "none" : `status ${reply.status} (${String(reply.json?.detail ?? "")})`;
    throw new LoopError("Unavailable", `${what}: expected an answer with status 200, got ${got}`);
  }

  /**
   * The whole answer; null if there is none, or if it breaks off.
   *
   * @param {string} method @param {string} path @param {string | null} secret @param {BodyInit | null} body
   * @param {Record<string, string>} more @returns {Promise<Reply | null>}
   */
  async #reply(method, path, secret, body = null, more = {}) {
    const key = typeof this.#key === "function" ? this.#key() : this.#key;
    const headers = new Headers({ Authorization: `Bearer ${key}` });
    if (secret !== null) headers.set("Loop-Source", secret);
    if (body !== null) headers.set("Content-Type", "application/json");
    for (const [name, value] of Object.entries(more)) headers.set(name, value);
    try {
      return await exchange(this.#services, `${this.#api}/v1/${path}`, { method, headers, body }, async (response, pieces) => {
        const text = new TextDecoder().decode(await whole(pieces, LONGEST_ANSWER, path));
        const after = response.headers.get("Retry-After") ?? "";
        return { status: response.status, json: parsed(text), retryAfter: /^\d+$/.test(after) ? Number(after) : null };
      });
    } catch (thrown) {
      if (thrown instanceof LoopError && thrown.rule !== "Unsupported") return null;
      throw thrown;
    }
  }
}

/** @param {number} status @param {any} accepted @param {any} problem @param {number | null} retryAfter @returns {Fate} */
function fate(status, accepted, problem, retryAfter) {
  if (status >= 200 && status < 300) return { fate: "accepted", id: Number.isSafeInteger(accepted?.id) ? accepted.id : null };
  if (!FINAL.has(status)) return later(retryAfter ?? seconds(problem), String(problem?.detail ?? `status ${status}`));
  return { fate: "refused", type: String(problem?.type ?? `status ${status}`), detail: String(problem?.detail ?? "") };
}

/** @param {number | null} seconds @param {string} why @returns {Later} */
const later = (seconds, why) => ({ fate: "later", seconds, why });

/** @param {any} problem @returns {number | null} */
const seconds = (problem) => (typeof problem?.retry_after === "number" ? problem.retry_after : null);

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    return { detail: `no JSON (${reason(thrown)})` };
  }
}
