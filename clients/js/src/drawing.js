// Strokes to a picture, by distance to the pen's path: the same in every browser, on every screen and theme.

import { LoopError } from "./errors.js";
import { even } from "./statistics.js";

/** @import { Picture } from "./picture.js" */
/** In points of any unit. @typedef {readonly [number, number]} Point */

const SIDE = 256;
const MARGIN = 28;

/**
 * White strokes on a black canvas of 256 pixels a side, scaled so that the drawing fills it up to a margin (docs/vectors.md).
 * Throws `BadImage` without a stroke, or for a coordinate that is not finite.
 *
 * @param {readonly (readonly Point[])[]} strokes In the order in which they were drawn; a stroke of one point is a dot.
 * @param {number} penWidth In the unit of the points.
 * @returns {Picture}
 */
export function picture(strokes, penWidth) {
  const points = strokes.flat();
  const fits = points.length > 0 && points.every((point) => point.every(Number.isFinite)) && penWidth > 0 && penWidth < Infinity;
  if (!fits) throw new LoopError("BadImage", "expected at least one stroke of finite points, and a pen of some width");
  const axes = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [[left, right], [top, bottom]] = axes.map((values) => [values.reduce(least), values.reduce(most)]);
  const scale = (SIDE - 2 * MARGIN) / Math.max(right - left, bottom - top, penWidth);
  const radius = Math.min((penWidth * scale) / 2, MARGIN - 1); // a pen wider than twice the margin would leave the canvas
  const grey = new Uint8Array(SIDE * SIDE);
  for (const stroke of strokes) {
    const placed = stroke.map(([x, y]) => /** @type {Point} */ ([
      SIDE / 2 + (x - (left + right) / 2) * scale,
      SIDE / 2 + (y - (top + bottom) / 2) * scale,
    ]));
    placed.forEach((point, i) => paint(grey, point, placed[Math.min(i + 1, placed.length - 1)], radius));
  }
  return { width: SIDE, height: SIDE, grey };
}

/** @param {Uint8Array} grey @param {Point} start @param {Point} end @param {number} radius */
function paint(grey, [ax, ay], [bx, by], radius) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const [[left, right], [top, bottom]] = [span(ax, bx, radius + 1), span(ay, by, radius + 1)];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const [px, py] = [x + 0.5 - ax, y + 0.5 - ay];
      const along = length > 0 ? Math.min(Math.max((px * dx + py * dy) / length, 0), 1) : 0;
      const [ex, ey] = [px - along * dx, py - along * dy];
      const covered = Math.min(Math.max(0.5 + radius - Math.sqrt(ex * ex + ey * ey), 0), 1);
      grey[y * SIDE + x] = Math.max(grey[y * SIDE + x], even(covered * 255));
    }
  }
}

/** @param {number} one @param {number} other @param {number} reach */
const span = (one, other, reach) => [
  Math.max(0, Math.trunc(Math.min(one, other) - reach)),
  Math.min(SIDE, Math.trunc(Math.max(one, other) + reach) + 1),
];

/** @param {number} one @param {number} other */
const least = (one, other) => Math.min(one, other);
/** @param {number} one @param {number} other */
const most = (one, other) => Math.max(one, other);
