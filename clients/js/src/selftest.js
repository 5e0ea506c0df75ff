// The checks of a downloaded model (loop/feed/checks.py), in their order.

import { fromBase64 } from "./bytes.js";
import { requireShallow } from "./canonical.js";
import { digestOf } from "./cryptography.js";
import { LoopError, reason } from "./errors.js";
import { FORMAT } from "./fields.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Cryptography } from "./cryptography.js" */
/** @import { Release } from "./documents.js" */

/**
 * A model that is loaded.
 *
 * @typedef {object} Model
 * @property {Readonly<Record<string, string>>} metadata What its author defined: `loop.family`, `loop.version` and others.
 * @property {(pixels: Bytes) => ArrayLike<number> | Promise<ArrayLike<number>>} probabilities Ten, for 784 bytes in rows,
 *   white ink (255) on black.
 */
/** Loads the bytes of a `.mlmodel`. Throws for a file that is no classifier of ten digits. @typedef {(model: Bytes) => Model | Promise<Model>} LoadModel */

export const PIXELS = 784;
const PIXELS_BASE64 = /^[A-Za-z0-9+/]{1046}==$/;

/**
 * The model, loaded and tested. Throws `WrongDigest`, `NotCanonical`, `DoesNotLoad`, `WrongModel`, `SelfTestFailed`.
 *
 * @param {string} channel @param {Release} release @param {{ model: Bytes, golden: Bytes }} files
 * @param {LoadModel} load @param {Cryptography} cryptography @returns {Promise<Model>}
 */
export async function tested(channel, release, files, load, cryptography) {
  await hasDigest("model", files.model, release.digest, cryptography);
  await hasDigest("golden vectors", files.golden, release.goldenDigest, cryptography);
  requireShallow(files.golden);
  const model = await loaded(load, files.model);
  const family = channel.split(".")[0];
  const got = [model.metadata["loop.family"] ?? "none", model.metadata["loop.version"] ?? "none"];
  if (got[0] !== family || got[1] !== String(release.version)) {
    throw new LoopError("WrongModel", `model: expected family ${family}, version ${release.version}; got ${got.join(", ").slice(0, 42)}`);
  }
  await reproduces(model, files.golden, release.digest);
  return model;
}

/** Throws `DoesNotLoad`. @param {LoadModel} load @param {Bytes} data */
export async function loaded(load, data) {
  try {
    return await load(data);
  } catch (thrown) {
    throw new LoopError("DoesNotLoad", `model: it does not load (${reason(thrown)})`);
  }
}

/** @param {string} name @param {Bytes} data @param {string} expected @param {Cryptography} cryptography */
async function hasDigest(name, data, expected, cryptography) {
  const got = await digestOf(cryptography, data);
  if (got !== expected) throw new LoopError("WrongDigest", `${name}: expected ${expected.slice(0, 12)}…, got ${got.slice(0, 12)}…`);
}

/** Throws `SelfTestFailed`. @param {Model} model @param {Bytes} data The golden vectors. @param {string} digest That of the model. */
export async function reproduces(model, data, digest) {
  const { vectors, tolerance } = golden(data, digest);
  for (const [index, vector] of vectors.entries()) {
    const found = await answer(model, vector.pixels, index);
    const label = found.indexOf(Math.max(...found));
    if (found.length !== 10 || label !== vector.label) throw failed(index, `expected label ${vector.label}, got ${label}`);
    // NaN is within no tolerance.
    const near = found.every((share, digit) => Math.abs(share - vector.probabilities[digit]) <= tolerance);
    if (!near) throw failed(index, `a probability is off by more than ${tolerance}`);
  }
}

/** @param {Model} model @param {Bytes} pixels @param {number} index */
async function answer(model, pixels, index) {
  try {
    return Array.from(await model.probabilities(pixels));
  } catch (thrown) {
    throw failed(index, `the model gives no answer (${reason(thrown)})`);
  }
}

/** @param {Bytes} data @param {string} digest */
function golden(data, digest) {
  const document = json(data);
  const { format, model, tolerance, vectors } = document ?? {};
  const fits = format === FORMAT && model === digest && isNumber(tolerance) && tolerance >= 0;
  if (!fits || !Array.isArray(vectors) || !vectors.length) {
    throw new LoopError("SelfTestFailed", "the golden vectors cannot be read, are empty, or of another model");
  }
  return { tolerance, vectors: vectors.map(vector) };
}

/** @param {Bytes} data */
function json(data) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data));
  } catch (thrown) {
    throw new LoopError("SelfTestFailed", `the golden vectors are not JSON (${reason(thrown)})`);
  }
}

/** @param {any} plain @param {number} index */
function vector(plain, index) {
  const { label, pixels, probabilities } = plain ?? {};
  const answers = Array.isArray(probabilities) && probabilities.length === 10 && probabilities.every(isNumber);
  if (!answers || typeof pixels !== "string" || !PIXELS_BASE64.test(pixels)) {
    throw failed(index, "expected 784 pixels in base64 and 10 probabilities");
  }
  return { label, pixels: fromBase64(pixels), probabilities };
}

/** JSON.parse makes a number that is too large infinite. @param {unknown} value */
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** @param {number} index @param {string} what */
const failed = (index, what) => new LoopError("SelfTestFailed", `vector ${index}: ${what}`);
