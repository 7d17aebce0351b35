// The noise that a seed stands for: what tf.random.stateless_normal(shape, [seed, number]) draws, and so what Python's
// draw_noise and an exported SavedModel draw for the same seed. Philox 4x32-10 of Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3" (2011), then Box and Muller's transform.

const SCRAMBLE = [0x3ec8f720, 0x02461e29]; // TensorFlow's key, under which a seed becomes a key of its own

function philox(counter, key) {
  let [a, b, c, d] = counter;
  let [left, right] = key;
  for (let round = 0; round < 10; round++) {
    const first = 0xd2511f53n * BigInt(a);
    const second = 0xcd9e8d57n * BigInt(c);
    [a, b, c, d] = [
      (Number(second >> 32n) ^ b ^ left) >>> 0,
      Number(second & 0xffffffffn),
      (Number(first >> 32n) ^ d ^ right) >>> 0,
      Number(first & 0xffffffffn),
    ];
    left = (left + 0x9e3779b9) >>> 0;
    right = (right + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

const fraction = (bits) => (bits & 0x7fffff) / 0x800000; // 0 to 1, of the lowest 23 bits

/** `count` numbers from N(0, 1) as a Float32Array. `seed` and `number` are whole numbers from 0 to 2^32 - 1. */
export function normalNoise(count, seed, number) {
  const [left, right, high, highest] = philox([seed, 0, number, 0], SCRAMBLE);
  const drawn = new Float32Array(4 * Math.ceil(count / 4));
  for (let at = 0; at < drawn.length; at += 4) {
    const bits = philox([at / 4, 0, high, highest], [left, right]);
    for (const pair of [0, 2]) {
      const radius = Math.sqrt(-2 * Math.log(Math.max(fraction(bits[pair]), 1e-7)));
      const angle = 2 * Math.PI * fraction(bits[pair + 1]);
      drawn.set([radius * Math.sin(angle), radius * Math.cos(angle)], at + pair);
    }
  }
  return drawn.subarray(0, count);
}
