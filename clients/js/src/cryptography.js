// SHA-256 and Ed25519 by WebCrypto: Node 20, Chrome 137, Firefox 129, Safari 17. Elsewhere give your own `verify`.

import { hex } from "./bytes.js";
import { LoopError, reason } from "./errors.js";

/** @import { Bytes } from "./bytes.js" */

/**
 * Whether `signature` (64 bytes) by `publicKey` (32 bytes) is an Ed25519 signature of `message`. 32 bytes that are no key
 * have no valid signature.
 *
 * @typedef {(signature: Bytes, message: Bytes, publicKey: Bytes) => boolean | Promise<boolean>} Verify
 */
/**
 * @typedef {object} Cryptography
 * @property {(data: Bytes) => Bytes | Promise<Bytes>} sha256
 * @property {Verify} verify
 * @property {(length: number) => Uint8Array} random
 */

/**
 * WebCrypto, which browsers offer on HTTPS and 127.0.0.1 only.
 *
 * @param {Partial<Cryptography>} own Functions that replace WebCrypto's, for example `verify` of `@noble/ed25519`.
 * @returns {Cryptography}
 */
export function webCryptography(own = {}) {
  return {
    sha256: async (data) => new Uint8Array(await subtle().digest("SHA-256", data)),
    verify: webVerify,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    ...own,
  };
}

/** The SHA-256 in 64 hex digits. @param {Cryptography} cryptography @param {Bytes} data */
export const digestOf = async (cryptography, data) => hex(await cryptography.sha256(data));

function subtle() {
  const found = globalThis.crypto?.subtle;
  if (!found) throw new LoopError("Unsupported", "expected WebCrypto, got none; serve the page by HTTPS, or give cryptography");
  return found;
}

/** @param {Bytes} signature @param {Bytes} message @param {Bytes} publicKey @returns {Promise<boolean>} */
async function webVerify(signature, message, publicKey) {
  const key = await subtle().importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]).catch(noKey);
  return key !== null && subtle().verify({ name: "Ed25519" }, key, signature, message);
}

/** A refused key has no valid signature; a platform without Ed25519 is another matter. @param {unknown} thrown @returns {null} */
function noKey(thrown) {
  if (thrown instanceof Error && thrown.name === "DataError") return null;
  throw new LoopError("Unsupported", `expected Ed25519 in WebCrypto (${reason(thrown)}); give your own verify`);
}
