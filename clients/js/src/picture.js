// Pictures as MNIST has them, byte for byte as the server makes them (docs/vectors.md).

import { LoopError } from "./errors.js";
import { Plane } from "./plane.js";
import { even } from "./statistics.js";

/** @import { Bytes } from "./bytes.js" */

export const SIDE = 28;
const CENTRE = 14;
const WORKING_SIDE = 512;
const MIN_CONTRAST = 8;
const NOISE_SIGMAS = 4;
const WEAK = 0.25;
const STRONG = 0.5;
const TILES = 8;
const TILE_INK = 32;

/** A grey picture in rows, a byte a pixel. @typedef {{ width: number, height: number, grey: Uint8Array }} Picture */

/**
 * The picture as 784 bytes in rows of 28, white ink (255) on black. Any polarity and size. Throws `BadImage` when no ink stands
 * out of the paper.
 *
 * Shadows are not taken away: the server does that for photos in which it finds no digit. Send such a photo as it is.
 *
 * @param {Picture} picture @returns {Bytes}
 */
export function normalise(picture) {
  const plane = working(checked(picture));
  const rise = plane.riseOverPaper();
  const noise = rise.noise();
  const outstanding = rise.mask(Math.max(MIN_CONTRAST, NOISE_SIGMAS * noise));
  const borders = outstanding.scannerBorders();
  if (borders.any) {
    const grown = borders.grown();
    rise.values.forEach((_, i) => { if (grown.values[i]) rise.values[i] = 0; });
  }
  const level = rise.inkLevel(outstanding, borders);
  const weak = rise.mask(Math.max(WEAK * level, Math.min(NOISE_SIGMAS * noise, STRONG * level)));
  const ink = weak.piecesOfDigit(rise.mask(STRONG * level));
  if (!ink.any) throw new LoopError("BadImage", "the image holds only dust, expected a stroke");
  const near = ink.grown();
  const share = rise.values.map((each, i) => (near.values[i] ? Math.min(Math.max(Math.fround(each / level), 0), 1) : 0));
  return centred(new Plane(rise.width, rise.height, share).cropped(ink.box).fitted());
}

/** A canvas's pixels (`getImageData`) as grey levels; what is transparent is `paper`. @param {{ width: number, height: number, data: ArrayLike<number> }} image @returns {Picture} */
export function fromImageData({ width, height, data }, paper = 0) {
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    const [red, green, blue, alpha] = [data[4 * i], data[4 * i + 1], data[4 * i + 2], data[4 * i + 3] / 255];
    grey[i] = Math.round(alpha * (0.299 * red + 0.587 * green + 0.114 * blue) + (1 - alpha) * paper);
  }
  return { width, height, grey };
}

/**
 * The 64 numbers of the family `svm` (`models/svm/tiles.py`): the ink's bounding box cut into 8×8 tiles, each averaged and scaled
 * to 0 to 16. White ink on black; tiles share the pixels that their borders cross, in proportion.
 *
 * @param {Picture} picture
 */
export function tiles(picture) {
  const { width, height, grey } = checked(picture);
  const [rows, columns] = [new Uint8Array(height), new Uint8Array(width)];
  grey.forEach((level, i) => { if (level >= TILE_INK) rows[Math.floor(i / width)] = columns[i % width] = 1; });
  const across = shares(columns);
  const average = (/** @type {number[]} */ down, /** @type {number[]} */ over) => {
    let sum = 0;
    down.forEach((part, y) => { if (part > 0) over.forEach((share, x) => { sum += part * (grey[y * width + x] / 255) * share; }); });
    return 16 * sum;
  };
  return shares(rows).flatMap((row) => across.map((column) => average(row, column)));
}

/** How much of each row or column makes up each of the eight tiles. @param {Uint8Array} inked */
function shares(inked) {
  const first = Math.max(0, inked.indexOf(1));
  const last = (inked.includes(1) ? inked.lastIndexOf(1) : inked.length - 1) + 1;
  const length = (last - first) / TILES;
  return Array.from({ length: TILES }, (_, tile) => {
    const [from, to] = [first + length * tile, first + length * (tile + 1)];
    return Array.from(inked, (_, i) => Math.max(0, Math.min(to, i + 1) - Math.max(from, i)) / length);
  });
}

/** @param {Picture} picture */
function checked(picture) {
  const { width, height, grey } = picture;
  if (!(width > 0 && height > 0 && grey.length === width * height)) {
    throw new LoopError("BadImage", `expected ${width}×${height} levels, got ${grey.length}`);
  }
  return picture;
}

/** Averaged down by a whole factor so that no side is over 512, as Pillow does it. @param {Picture} picture */
function working({ width, height, grey }) {
  const factor = Math.ceil(Math.max(width, height) / WORKING_SIDE);
  if (factor === 1) return new Plane(width, height, Float32Array.from(grey));
  const [columns, rows] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const values = Float32Array.from({ length: columns * rows }, (_, i) => {
    const [left, top] = [(i % columns) * factor, Math.floor(i / columns) * factor];
    const [right, bottom] = [Math.min(left + factor, width), Math.min(top + factor, height)];
    let sum = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += grey[y * width + x];
    const count = (right - left) * (bottom - top);
    return Math.floor(((sum + (count >> 1)) * Math.floor(2 ** 24 / count)) / 2 ** 24);
  });
  return new Plane(columns, rows, values);
}

/** On a black 28×28, its centre of mass at index 14 on both axes, by whole pixels; the shift stops at the frame. @param {Plane} plane */
function centred({ width, height, values }) {
  const levels = Array.from(values, (level) => even(Math.fround(level * 255)));
  let [mass, down, across] = [0, 0, 0];
  levels.forEach((level, i) => {
    mass += level;
    down += level * Math.floor(i / width);
    across += level * (i % width);
  });
  const start = (/** @type {number} */ moment, /** @type {number} */ length) =>
    Math.min(Math.max(even(CENTRE - moment / mass), 0), SIDE - length);
  const [top, left] = [start(down, height), start(across, width)];
  const frame = new Uint8Array(SIDE * SIDE);
  levels.forEach((level, i) => { frame[(top + Math.floor(i / width)) * SIDE + left + (i % width)] = level; });
  return frame;
}
