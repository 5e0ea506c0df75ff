// Levels in single precision: paper and ink apart, fitted into 20 pixels (loop/data/ink.py, docs/vectors.md).

import { LoopError } from "./errors.js";
import { Mask } from "./pieces.js";
import { even, fitSlope, median, quantile } from "./statistics.js";

/** @import { Box } from "./pieces.js" */

const single = Math.fround;
const BOX = 20;
const BOLD_SHARE = 0.25;
const UNEVEN_GREY_LEVELS = 4;
const FULL_INK_QUANTILE = 0.9;

export class Plane {
  /** @param {number} width @param {number} height @param {Float32Array} values */
  constructor(width, height, values) {
    this.width = width;
    this.height = height;
    this.values = values;
  }

  /** Where the level is over the threshold, which is rounded to single first. @param {number} threshold */
  mask(threshold) {
    const least = single(threshold);
    const made = new Mask(this.width, this.height);
    for (let i = 0; i < this.values.length; i++) if (this.values[i] > least) made.values[i] = 1;
    return made;
  }

  /** @param {Box} box */
  cropped({ top, bottom, left, right }) {
    const made = new Plane(right - left, bottom - top, new Float32Array((right - left) * (bottom - top)));
    for (let y = top; y < bottom; y++) {
      made.values.set(this.values.subarray(y * this.width + left, y * this.width + right), (y - top) * made.width);
    }
    return made;
  }

  /** How far each pixel is from the paper's level towards the ink's. */
  riseOverPaper() {
    const plane = this.#evenlyLit();
    let paper = median(plane.values);
    const border = median(plane.#border);
    let nearer = 0;
    for (const level of plane.values) if (Math.abs(single(level - paper)) <= Math.abs(single(level - border))) nearer += 1;
    if (nearer / plane.values.length < 0.6) paper = border;
    const rise = plane.values.map((level) => level - paper);
    const sum = rise.reduce((total, level) => total + single(single(level * level) * level), 0);
    return new Plane(this.width, this.height, sum > 0 ? rise : rise.map((level) => -level));
  }

  /** Top row, bottom row, left and right column; corners twice. */
  get #border() {
    const { width, height, values } = this;
    const columns = Array.from({ length: height }, (_, y) => [values[y * width], values[(y + 1) * width - 1]]);
    return Float32Array.from([...values.subarray(0, width), ...values.subarray(-width), ...columns.flat()]);
  }

  /** The paper's standard deviation, from the lower quartile of distances; 0 where the ink is bold. */
  noise() {
    const distance = this.values.map(Math.abs).sort();
    const half = single(0.5 * distance[distance.length - 1]);
    const bold = distance.length - 1 - distance.findLastIndex((level) => level <= half);
    if (bold / distance.length > BOLD_SHARE) return 0;
    return distance[distance.length >> 2] / 0.3186;
  }

  /** The level of full ink: the upper quartile of all that stands out of the paper. @param {Mask} outstanding @param {Mask} borders */
  inkLevel(outstanding, borders) {
    const inked = this.values.filter((_, i) => outstanding.values[i] && !borders.values[i]);
    if (!inked.length) throw new LoopError("BadImage", "the image is blank: no ink is clear of the paper");
    return quantile(inked, 0.75);
  }

  /** The plane less a slope of the light across the paper, where there evidently is one. */
  #evenlyLit() {
    const spread = this.#lessMedian().noise();
    if (spread < UNEVEN_GREY_LEVELS) return this;
    const flat = this.#lessSlope();
    return flat.#lessMedian().noise() < 0.5 * spread ? flat : this;
  }

  #lessMedian() {
    const middle = median(this.values);
    return new Plane(this.width, this.height, this.values.map((level) => level - middle));
  }

  /** Less a least-squares plane, fitted four times to what lies within two deviations of the last. */
  #lessSlope() {
    const { width, height, values } = this;
    const place = (/** @type {number} */ i, /** @type {number} */ count) => (count > 1 ? -1 + (2 * i) / (count - 1) : -1);
    const down = Float64Array.from(values, (_, i) => place(Math.floor(i / width), height));
    const across = Float64Array.from(values, (_, i) => place(i % width, width));
    let near = new Uint8Array(values.length).fill(1);
    let rest = Float64Array.from(values);
    for (let round = 0; round < 4; round++) {
      const [a, b, c] = fitSlope(down, across, values, near);
      rest = Float64Array.from(values, (level, i) => level - (down[i] * a + across[i] * b + c));
      const deviation = Math.max(1, 1.4826 * median(rest.map(Math.abs)));
      near = Uint8Array.from(rest, (level) => Number(Math.abs(level) <= 2 * deviation));
    }
    return new Plane(width, height, Float32Array.from(rest));
  }

  /** Resized so that the longer side is 20, its ink scaled to 0 to 1. */
  fitted() {
    const scale = BOX / Math.max(this.width, this.height);
    const [width, height] = [this.width, this.height].map((side) => Math.max(1, even(side * scale)));
    const plane = this.#resized(width, height);
    const levels = plane.values.map((level) => Math.max(level, 0));
    const half = single(0.5 * levels.reduce((most, level) => Math.max(most, level), 0));
    const full = quantile(levels.filter((level) => level > half), FULL_INK_QUANTILE);
    return new Plane(width, height, levels.map((level) => Math.min(single(level / full), 1)));
  }

  /** Pillow's resampling with the Hamming filter: first the rows, then the columns. @param {number} width @param {number} height */
  #resized(width, height) {
    const [across, down] = [taps(this.width, width), taps(this.height, height)];
    const narrow = new Float32Array(width * this.height);
    for (let i = 0; i < narrow.length; i++) {
      const row = Math.floor(i / width) * this.width;
      narrow[i] = weighted(across[i % width], (x) => this.values[row + x]);
    }
    const made = new Float32Array(width * height);
    for (let i = 0; i < made.length; i++) made[i] = weighted(down[Math.floor(i / width)], (y) => narrow[y * width + (i % width)]);
    return new Plane(width, height, made);
  }
}

/** For a pixel of the new line: where its sum begins in the old line, and the weights. @typedef {{ first: number, weights: number[] }} Taps */

/** @param {number} length @param {number} to @returns {Taps[]} */
function taps(length, to) {
  const scale = length / to;
  const spread = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - spread + 0.5));
    const last = Math.min(length, Math.trunc(middle + spread + 0.5));
    const raw = Array.from({ length: last - first }, (_, k) => hamming((first + k - middle + 0.5) * (1 / spread)));
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: raw.map((weight) => weight / total) };
  });
}

/** @param {Taps} taps @param {(i: number) => number} at */
const weighted = ({ first, weights }, at) => weights.reduce((sum, weight, k) => sum + at(first + k) * weight, 0);

/** Pillow's constants are in single precision. @param {number} x */
function hamming(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= 1) return 0;
  const angle = Math.abs(x) * Math.PI;
  return (Math.sin(angle) / angle) * (single(0.54) + single(0.46) * Math.cos(angle));
}
