// Grey pictures as PNG files, without compression: 28×28 pixels are 880 bytes, and the same pixels give the same bytes everywhere.

import { utf8 } from "./bytes.js";

const HEAD = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** `pixels` (side × side bytes, at most 65,535 with a filter byte for each row) as a file. @param {Uint8Array} pixels @param {number} side */
export function png(pixels, side) {
  const rows = [];
  for (let y = 0; y < side; y++) rows.push(0, ...pixels.subarray(y * side, (y + 1) * side));
  const header = [...big(side), ...big(side), 8, 0, 0, 0, 0];
  return Uint8Array.from([...HEAD, ...chunk("IHDR", header), ...chunk("IDAT", stored(rows)), ...chunk("IEND", [])]);
}

/** @param {string} kind @param {number[]} body */
function chunk(kind, body) {
  const named = [...utf8(kind), ...body];
  return [...big(body.length), ...named, ...big(crc32(named))];
}

/** zlib with one uncompressed block. @param {number[]} data */
function stored(data) {
  const [low, high] = [data.length & 255, data.length >> 8];
  return [0x78, 0x01, 1, low, high, low ^ 255, high ^ 255, ...data, ...big(adler32(data))];
}

/** @param {number[]} data */
function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** @param {number[]} data */
function adler32(data) {
  let [one, two] = [1, 0];
  for (const byte of data) {
    one = (one + byte) % 65521;
    two = (two + one) % 65521;
  }
  return ((two << 16) | one) >>> 0;
}

/** @param {number} value */
const big = (value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
