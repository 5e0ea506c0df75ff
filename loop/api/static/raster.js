// Strokes to grey levels, by distance to the pen's path: the same in every browser, on every screen and theme.

export const SIDE = 280;
export const PEN = 0.045; // the pen's radius, as a share of the side

/** Strokes (lists of [x, y] from 0 to 1) as SIDE × SIDE bytes: white ink on black, soft at the edge. */
export function raster(strokes) {
  const grey = new Uint8Array(SIDE * SIDE);
  for (const stroke of strokes) {
    stroke.forEach((point, i) => segment(grey, stroke[Math.max(0, i - 1)], point));
  }
  return grey;
}

function segment(grey, from, to) {
  const [ax, ay, bx, by] = [...from, ...to].map((share) => share * SIDE);
  const [dx, dy, radius] = [bx - ax, by - ay, PEN * SIDE];
  const length = dx * dx + dy * dy;
  const [left, right] = span(ax, bx, radius);
  const [top, bottom] = span(ay, by, radius);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const [px, py] = [x + 0.5 - ax, y + 0.5 - ay];
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const inside = radius + 0.5 - Math.hypot(px - along * dx, py - along * dy);
      const level = Math.round(255 * Math.min(1, Math.max(0, inside)));
      if (level > grey[y * SIDE + x]) grey[y * SIDE + x] = level;
    }
  }
}

const span = (a, b, radius) => [
  Math.max(0, Math.floor(Math.min(a, b) - radius - 1)),
  Math.min(SIDE, Math.ceil(Math.max(a, b) + radius + 1)),
];
