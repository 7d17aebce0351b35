// Where restorations of one face differ: the map of doubt of `rethink_fr.pictures.doubt`, with the same colours.

// From no doubt to much: brightness rises evenly, for the colour-blind too.
const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const COVER = 0.85; // of the picture, at the most
const SCALES = [2, 4, 8, 16, 32, 64];

/** The standard deviation of several pictures in each pixel, in levels: the root of the mean over the channels. */
function spread(pictures) {
  const levels = new Float32Array(pictures[0].length / 4);
  for (let pixel = 0; pixel < levels.length; pixel++) {
    let variance = 0;
    for (let channel = 4 * pixel; channel < 4 * pixel + 3; channel++) {
      const mean = pictures.reduce((sum, picture) => sum + picture[channel], 0) / pictures.length;
      variance += pictures.reduce((sum, picture) => sum + (picture[channel] - mean) ** 2, 0) / pictures.length;
    }
    levels[pixel] = Math.sqrt(variance / 3);
  }
  return levels;
}

/** The levels that the brightest colour stands for: so that only one pixel in a hundred has more. */
function scaleFor(levels) {
  const high = Float32Array.from(levels).sort()[Math.ceil(0.99 * (levels.length - 1))];
  return SCALES.find((scale) => high <= scale) ?? SCALES.at(-1);
}

function heat(share) {
  const place = Math.min(1, share) * (COLOURS.length - 1);
  const below = Math.min(COLOURS.length - 2, Math.floor(place));
  return COLOURS[below].map((value, channel) => value + (place - below) * (COLOURS[below + 1][channel] - value));
}

/** A face in grey where all samples agree, coloured where they differ; and what the brightest colour stands for. */
export function doubtMap(face, samples) {
  const levels = spread(samples);
  const scale = scaleFor(levels);
  const pixels = new Uint8ClampedArray(face.length).fill(255);
  levels.forEach((level, pixel) => {
    const [red, green, blue] = face.subarray(4 * pixel, 4 * pixel + 3);
    const grey = 0.299 * red + 0.587 * green + 0.114 * blue;
    const cover = COVER * Math.min(1, (2 * level) / scale);
    heat(level / scale).forEach((value, channel) => (pixels[4 * pixel + channel] = grey + cover * (value - grey)));
  });
  return { pixels, scale };
}
