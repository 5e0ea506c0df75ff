// A grey picture as a PNG file of one channel. A canvas would write four channels, which is not what the model saw.

const HEAD = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** `pixels` (side × side bytes, at most 65,535 with a filter byte for each row) as the bytes of a PNG. */
export function png(pixels, side) {
  const rows = [];
  for (let y = 0; y < side; y++) rows.push(0, ...pixels.subarray(y * side, (y + 1) * side));
  const header = [...big(side), ...big(side), 8, 0, 0, 0, 0];
  return Uint8Array.from([...HEAD, ...chunk("IHDR", header), ...chunk("IDAT", stored(rows)), ...chunk("IEND", [])]);
}

function chunk(kind, body) {
  const named = [...new TextEncoder().encode(kind), ...body];
  return [...big(body.length), ...named, ...big(crc32(named))];
}

/** zlib with one uncompressed block: 784 bytes gain nothing from compression. */
function stored(data) {
  const [low, high] = [data.length & 255, data.length >> 8];
  return [0x78, 0x01, 1, low, high, low ^ 255, high ^ 255, ...data, ...big(adler32(data))];
}

function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function adler32(data) {
  let [one, two] = [1, 0];
  for (const byte of data) {
    one = (one + byte) % 65521;
    two = (two + one) % 65521;
  }
  return ((two << 16) | one) >>> 0;
}

const big = (value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
