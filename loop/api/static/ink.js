// A clean drawing in MNIST's format, 28×28: the same rules as loop/data/ink.py; docs/vectors.md lists them.

export const SIDE = 28;
const BOX = 20;
const CENTRE = 14;
const MIN_CONTRAST = 8;
const WEAK = 0.25;
const FULL = 0.9;
const INK_QUANTILE = 0.75;

/** `grey` (width × height bytes in rows, white ink on black) placed in 28 × 28 bytes; null if it is blank. */
export function normalise(grey, width, height) {
  const outstanding = Float64Array.from(grey).filter((level) => level > MIN_CONTRAST);
  if (!outstanding.length) return null;
  const level = quantile(outstanding, INK_QUANTILE);
  const fitted = fit(cropped(grey, width, height, level));
  const peak = Math.max(...fitted.flat());
  const full = quantile(Float64Array.from(fitted.flat().filter((share) => share > 0.5 * peak)), FULL);
  return centred(fitted.map((row) => row.map((share) => Math.min(share / full, 1))));
}

/** The box of the ink, in shares of full ink; pixels more than one pixel away from ink are black. */
function cropped(grey, width, height, level) {
  const inked = (x, y) => x >= 0 && y >= 0 && x < width && y < height && grey[y * width + x] > WEAK * level;
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!inked(x, y)) continue;
      [top, bottom, left, right] = [Math.min(top, y), Math.max(bottom, y), Math.min(left, x), Math.max(right, x)];
    }
  }
  const near = (x, y) => [-1, 0, 1].some((v) => [-1, 0, 1].some((u) => inked(x + u, y + v)));
  const share = (x, y) => (near(x, y) ? Math.min(1, grey[y * width + x] / level) : 0);
  return range(bottom - top + 1).map((y) => range(right - left + 1).map((x) => share(left + x, top + y)));
}

/** Resized so that the longer side has BOX pixels. */
function fit(rows) {
  const scale = BOX / Math.max(rows.length, rows[0].length);
  const across = kernel(rows[0].length, Math.max(1, even(rows[0].length * scale)));
  const down = kernel(rows.length, Math.max(1, even(rows.length * scale)));
  const narrow = rows.map((row) => across.map((taps) => weighted(taps, (i) => row[i])));
  return down.map((taps) => across.map((_, x) => Math.max(0, weighted(taps, (i) => narrow[i][x]))));
}

/** Placed on a black 28×28 by whole pixels, with the centre of mass at index 14 and all ink inside the frame. */
function centred(fitted) {
  const [down, across] = [fitted.length, fitted[0].length];
  const levels = fitted.map((line) => line.map((share) => even(share * 255)));
  let [mass, row, column] = [0, 0, 0];
  levels.forEach((line, y) => line.forEach((level, x) => { mass += level; row += y * level; column += x * level; }));
  const place = (middle, length) => Math.min(Math.max(even(CENTRE - middle / mass), 0), SIDE - length);
  const [top, left] = [place(row, down), place(column, across)];
  const frame = new Uint8Array(SIDE * SIDE);
  levels.forEach((line, y) => line.forEach((level, x) => { frame[(top + y) * SIDE + left + x] = level; }));
  return frame;
}

/** Pillow's Hamming filter for a line of another length: for each new place where its sum begins, and its weights. */
export function kernel(length, to) {
  const scale = length / to;
  const spread = Math.max(scale, 1);
  return range(to).map((i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - spread + 0.5));
    const last = Math.min(length, Math.trunc(middle + spread + 0.5));
    const weights = range(last - first).map((k) => hamming((first + k - middle + 0.5) / spread));
    const sum = weights.reduce((one, other) => one + other);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

export const weighted = ({ first, weights }, at) => weights.reduce((sum, weight, k) => sum + weight * at(first + k), 0);

function hamming(x) {
  if (x === 0) return 1;
  return Math.abs(x) >= 1 ? 0 : (Math.sin(Math.PI * x) / (Math.PI * x)) * (0.54 + 0.46 * Math.cos(Math.PI * x));
}

function quantile(values, share) {
  const sorted = values.sort();
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (place - low);
}

/** Rounded half to even, as Python and NumPy do. */
function even(x) {
  const up = Math.round(x);
  return Math.abs(x % 1) === 0.5 && up % 2 ? up - 1 : up;
}

const range = (n) => Array.from({ length: n }, (_, i) => i);
