// Signed documents, {"signatures":[{"key":…,"signature":…}],"signed":…} (loop/feed/envelope.py).
//
// The signed bytes are cut out as received, so a signature is checked before any of them is parsed. This works because
// strings contain no quotes, so the first ,"signed": is the separator.

import { fromHex, latin1, utf8 } from "./bytes.js";
import { parse } from "./canonical.js";
import { LIMITS } from "./documents.js";
import { LoopError } from "./errors.js";
import * as fields from "./fields.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Cryptography } from "./cryptography.js" */
/** `signatures` maps key ids to signatures, not yet verified. @typedef {{ body: Bytes, signatures: Map<string, Bytes> }} Signed */

const HEAD = '{"signatures":';
const MIDDLE = ',"signed":';
const TAIL = "}";

/** Split an envelope without parsing its body. Throws `TooLong`, `NotCanonical`, `BadDocument`. @param {Bytes} data @returns {Signed} */
export function unseal(data) {
  if (data.length > LIMITS.document) {
    throw new LoopError("TooLong", `expected at most ${LIMITS.document} bytes of a signed document, got ${data.length}`);
  }
  const text = latin1(data);
  const cut = text.indexOf(MIDDLE);
  if (!text.startsWith(HEAD) || cut < 0 || !text.endsWith(TAIL)) {
    throw new LoopError("NotCanonical", 'expected {"signatures":…,"signed":…}, got other bytes');
  }
  const listed = parse(utf8(text.slice(0, cut) + TAIL))["signatures"];
  if (!Array.isArray(listed) || listed.length < 1 || listed.length > LIMITS.keys) {
    throw fields.bad("signatures", `1 to ${LIMITS.keys}`);
  }
  const pairs = listed.map(pair);
  if (pairs.some(([id], i) => i > 0 && id <= /** @type {[string, Bytes]} */ (pairs[i - 1])[0])) {
    throw fields.bad("signatures", "keys sorted and each key once");
  }
  return { body: data.slice(cut + MIDDLE.length, -1), signatures: new Map(pairs) };
}

/**
 * How many of the keys (ids to public keys in hex) have a valid signature; signatures of other keys do not count.
 *
 * @param {Signed} signed @param {ReadonlyMap<string, string>} keys @param {Cryptography} cryptography
 */
export async function signers({ body, signatures }, keys, cryptography) {
  let count = 0;
  for (const [id, signature] of signatures) {
    const key = keys.get(id);
    if (key !== undefined && (await cryptography.verify(signature, body, fromHex(key)))) count += 1;
  }
  return count;
}

/** @param {import("./canonical.js").Plain} value @returns {[string, Bytes]} */
function pair(value) {
  const plain = fields.object("signatures", value);
  fields.exactly(plain, "key", "signature");
  const signature = fields.string(plain, "signature", /^[0-9a-f]{128}$/, "128 hex digits");
  return [fields.digest(plain, "key"), fromHex(signature)];
}
