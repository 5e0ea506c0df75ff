// Order statistics and least squares, as NumPy computes them. "Single" is single precision.

const single = Math.fround;

/** To the nearest integer, halves to the even one. @param {number} x */
export function even(x) {
  const low = Math.floor(x);
  const part = x - low;
  if (part !== 0.5) return part < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** The middle value, or the mean of the two, in the precision of the array. @param {Float32Array | Float64Array} values */
export function median(values) {
  const sorted = values.slice().sort();
  const half = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[half];
  const sum = sorted[half - 1] + sorted[half];
  return values instanceof Float32Array ? single(single(sum) / 2) : sum / 2;
}

/** Interpolated between neighbours: the place in double precision, the value in single. @param {Float32Array} values @param {number} share */
export function quantile(values, share) {
  const sorted = values.slice().sort();
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const [a, b] = [sorted[low], sorted[Math.min(low + 1, sorted.length - 1)]];
  const [part, step] = [place - low, single(b - a)];
  return part >= 0.5 ? single(b - single(step * single(1 - part))) : single(a + single(step * single(part)));
}

/**
 * The three coefficients of `down`, `across` and 1 that fit `levels` best where `near` is 1. One that does not vary there is 0.
 *
 * @param {Float64Array} down @param {Float64Array} across @param {Float32Array} levels @param {Uint8Array} near
 */
export function fitSlope(down, across, levels, near) {
  const rows = [0, 1, 2].map(() => [0, 0, 0, 0]);
  for (let i = 0; i < levels.length; i++) {
    if (!near[i]) continue;
    const terms = [down[i], across[i], 1, levels[i]];
    for (let j = 0; j < 3; j++) for (let k = 0; k < 4; k++) rows[j][k] += terms[j] * terms[k];
  }
  return solved(rows);
}

/** Gaussian elimination, from the last term (the constant) to the first. @param {number[][]} equations */
function solved(equations) {
  const rows = equations.map((row) => [...row]);
  const varies = (/** @type {number} */ i) => Math.abs(rows[i][i]) > 1e-9 * Math.abs(equations[i][i]);
  for (const pivot of [2, 1, 0]) {
    if (!varies(pivot)) continue;
    for (const other of [0, 1, 2].filter((each) => each !== pivot)) {
      const share = rows[other][pivot] / rows[pivot][pivot];
      for (let k = 0; k < 4; k++) rows[other][k] -= share * rows[pivot][k];
    }
  }
  return [0, 1, 2].map((i) => (varies(i) ? rows[i][3] / rows[i][i] : 0));
}
