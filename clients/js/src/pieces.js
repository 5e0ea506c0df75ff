// Which connected pieces of ink are strokes of the digit (loop/data/strokes.py).

import { even } from "./statistics.js";

/** A half-open box of pixels. @typedef {{ top: number, bottom: number, left: number, right: number }} Box */
/** @typedef {{ pixels: number[], box: Box }} Piece */

const SPECK = 0.1; // of the largest piece's pixels: smaller ones must be near
const DUST = 0.01; // of the same: smaller ones are never ink
const NEAR = 0.15; // of the longer side of what was found
const EDGE = 0.08; // of a side: the strip in which a scanner's border lies
const SMALLEST = 0.0002; // of the picture: a digit has more pixels

/** Black-and-white pixels in rows, 0 or 1. */
export class Mask {
  /** @param {number} width @param {number} height @param {Uint8Array} values */
  constructor(width, height, values = new Uint8Array(width * height)) {
    this.width = width;
    this.height = height;
    this.values = values;
  }

  get any() {
    return this.values.includes(1);
  }

  /** The box round all of it; the mask is not empty. */
  get box() {
    const inked = indices(this.values);
    return inked.map((i) => this.#around(i)).reduce(union);
  }

  /** The mask and the ring of pixels round it. */
  grown() {
    const made = new Mask(this.width, this.height, this.values.slice());
    for (const i of indices(this.values)) this.#neighbours(i, (j) => (made.values[j] = 1));
    return made;
  }

  /**
   * The pieces that are the digit's; none if all of it is dust. A piece must be strong somewhere. Those of some size belong,
   * small ones only near those, dust never.
   *
   * @param {Mask} strong
   */
  piecesOfDigit(strong) {
    const solid = this.#pieces().filter(({ pixels }) => pixels.some((i) => strong.values[i] === 1));
    const largest = Math.max(0, ...solid.map(area));
    if (largest === 0 || largest < this.#smallest) return this.#painted([]);
    const kept = solid.filter((piece) => area(piece) >= SPECK * largest);
    let small = solid.filter((piece) => area(piece) < SPECK * largest && area(piece) >= DUST * largest);
    for (;;) {
      const found = kept.map(({ box }) => box).reduce(union);
      const reach = NEAR * Math.max(found.bottom - found.top, found.right - found.left);
      const near = small.filter(({ box }) => distance(box, found) <= reach);
      if (!near.length) return this.#painted(kept);
      kept.push(...near);
      small = small.filter((piece) => !near.includes(piece));
    }
  }

  /** The pieces that touch the edge and lie nine tenths in the strip along it; none if nothing else could be a digit. */
  scannerBorders() {
    const { width, height } = this;
    const [tall, wide] = [height, width].map((side) => Math.max(2, even(EDGE * side)));
    const isMiddle = (/** @type {number} */ i) => {
      const [y, x] = [Math.floor(i / width), i % width];
      return y >= tall && y < height - tall && x >= wide && x < width - wide;
    };
    const isBorder = (/** @type {Piece} */ { pixels, box }) => {
      const atEdge = box.top === 0 || box.left === 0 || box.bottom === height || box.right === width;
      return atEdge && pixels.filter(isMiddle).length <= 0.1 * pixels.length;
    };
    const pieces = this.#pieces();
    const borders = pieces.filter(isBorder);
    const others = Math.max(0, ...pieces.filter((piece) => !borders.includes(piece)).map(area));
    return this.#painted(others <= 2 * this.#smallest ? [] : borders);
  }

  /** Pixels below which a piece cannot be a digit. */
  get #smallest() {
    const size = this.values.length;
    return Math.max(SMALLEST * size, Math.min(12, size / 50));
  }

  /** @param {Piece[]} pieces */
  #painted(pieces) {
    const made = new Mask(this.width, this.height);
    for (const { pixels } of pieces) for (const i of pixels) made.values[i] = 1;
    return made;
  }

  /** Pixels that touch at a side or corner are one piece. */
  #pieces() {
    /** @type {Piece[]} */
    const found = [];
    const left = this.values.slice();
    for (const start of indices(left)) {
      if (!left[start]) continue;
      left[start] = 0;
      const pixels = [start];
      let box = this.#around(start);
      for (let next = 0; next < pixels.length; next++) {
        this.#neighbours(pixels[next], (i) => {
          if (!left[i]) return;
          left[i] = 0;
          pixels.push(i);
          box = union(box, this.#around(i));
        });
      }
      found.push({ pixels, box });
    }
    return found;
  }

  /** @param {number} i @returns {Box} */
  #around(i) {
    const [y, x] = [Math.floor(i / this.width), i % this.width];
    return { top: y, bottom: y + 1, left: x, right: x + 1 };
  }

  /** The pixel and those round it. @param {number} i @param {(i: number) => void} use */
  #neighbours(i, use) {
    const [y, x] = [Math.floor(i / this.width), i % this.width];
    for (let v = Math.max(0, y - 1); v <= Math.min(this.height - 1, y + 1); v++) {
      for (let u = Math.max(0, x - 1); u <= Math.min(this.width - 1, x + 1); u++) use(v * this.width + u);
    }
  }
}

/** @param {Piece} piece */
const area = ({ pixels }) => pixels.length;

/** @param {Uint8Array} values */
function indices(values) {
  const found = [];
  for (let i = values.indexOf(1); i >= 0; i = values.indexOf(1, i + 1)) found.push(i);
  return found;
}

/** @param {Box} one @param {Box} other @returns {Box} */
const union = (one, other) => ({
  top: Math.min(one.top, other.top),
  bottom: Math.max(one.bottom, other.bottom),
  left: Math.min(one.left, other.left),
  right: Math.max(one.right, other.right),
});

/** Pixels between two boxes; 0 where they overlap. @param {Box} one @param {Box} other */
function distance(one, other) {
  const down = Math.max(one.top - other.bottom, other.top - one.bottom, 0);
  const across = Math.max(one.left - other.right, other.left - one.right, 0);
  return Math.sqrt(down * down + across * across);
}
