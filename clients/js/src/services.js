// What the platform gives: cryptography, HTTP, clock. Each can be replaced.

import { webCryptography } from "./cryptography.js";

/** @import { Cryptography } from "./cryptography.js" */

/** `now` can be changed by a user; `uptime`, in seconds, cannot. @typedef {{ now: () => Date, uptime: () => number }} Clock */
/** A server may need `seconds`, plus one for each `bytesPerSecond` received. @typedef {{ seconds: number, bytesPerSecond: number }} Timeouts */
/**
 * @typedef {object} Services
 * @property {Cryptography} cryptography
 * @property {typeof globalThis.fetch} fetch
 * @property {Clock} clock
 * @property {Timeouts} timeouts
 */

/** The platform's services, some of them replaced. @param {Partial<Services>} own @returns {Services} */
export function services(own = {}) {
  return {
    cryptography: webCryptography(),
    fetch: (...request) => fetch(...request),
    clock: { now: () => new Date(), uptime: () => performance.now() / 1000 },
    timeouts: { seconds: 30, bytesPerSecond: 1000 },
    ...own,
  };
}
