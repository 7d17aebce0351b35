// Pictures as the command `restore` sees them: read, laid over white, cut to the central square, resized. A picture is
// a Uint8ClampedArray of side * side * 4 values, RGBA, as in ImageData.

const MOST_BYTES = 64 << 20;
const MOST_PIXELS = 1 << 24; // what a canvas holds in every browser: 4096 x 4096
const UNREADABLE =
  "It is no picture that this browser can read, is damaged or too large; choose a JPEG, PNG or WebP file, for example.";

/** Read an image file and make it a square of this side. Errors say in a sentence what is wrong with the file. */
export async function readSquare(file, side) {
  if (file.size > MOST_BYTES) {
    throw new Error(`It has ${(file.size / 1e6).toFixed(0)} MB; this page takes up to ${MOST_BYTES >> 20} MB.`);
  }
  const { width, height } = await sizeOf(file);
  if (width * height > MOST_PIXELS) {
    throw new Error(
      `It has ${width} × ${height} pixels; this page takes up to ${(MOST_PIXELS / 1e6).toFixed(1)} million ` +
        "(4096 × 4096). Cut out the face first.",
    );
  }
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(UNREADABLE);
  });
  const shorter = Math.min(bitmap.width, bitmap.height);
  const left = Math.floor((bitmap.width - shorter) / 2);
  const top = Math.floor((bitmap.height - shorter) / 2);
  const context = canvasOf(shorter).getContext("2d", { willReadFrequently: true });
  checkCanvas(context);
  context.fillStyle = "white";
  context.fillRect(0, 0, shorter, shorter);
  context.drawImage(bitmap, left, top, shorter, shorter, 0, 0, shorter, shorter);
  bitmap.close();
  return { pixels: resized(context.getImageData(0, 0, shorter, shorter).data, shorter, side), width, height };
}

/** Width and height of an image file, from its header: nothing is decoded yet. */
async function sizeOf(file) {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error(UNREADABLE));
      image.src = address;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Some browsers give pages made-up pixels, against tracking; a face made of them would be nonsense. */
function checkCanvas(context) {
  context.fillStyle = "rgb(10 100 200)";
  context.fillRect(0, 0, 1, 1);
  if (String(context.getImageData(0, 0, 1, 1).data) !== "10,100,200,255") {
    throw new Error("This browser lets no page read pictures (protection against fingerprinting); allow it here.");
  }
}

export function canvasOf(side, pixels) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  if (pixels) canvas.getContext("2d").putImageData(new ImageData(pixels, side), 0, 0);
  return canvas;
}

/** A square resized as Pillow does it, to the level: bilinearly if it grows, by Lanczos if it shrinks. */
export function resized(pixels, from, to) {
  if (from === to) return pixels;
  const weights = from < to ? weightsOf(from, to, 1, triangle) : weightsOf(from, to, 3, lanczos);
  const rows = pass(pixels, from, to, weights, (line, at) => 4 * (line * from + at), (line, at) => 4 * (line * to + at));
  return pass(rows, to, to, weights, (line, at) => 4 * (at * to + line), (line, at) => 4 * (at * to + line));
}

const ONE = 1 << 22; // Pillow's weights are whole numbers of this part

const triangle = (x) => Math.max(0, 1 - Math.abs(x));
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0);

/** For each pixel of the result: where its part of the line begins, and the weights of the pixels there. */
function weightsOf(from, to, support, filter) {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const end = Math.min(from, Math.trunc(centre + support * stretch + 0.5));
    const values = [];
    for (let place = first; place < end; place++) values.push(filter((place - centre + 0.5) / stretch));
    const sum = values.reduce((total, value) => total + value, 0);
    return { first, weights: values.map((value) => Math.trunc((value / sum) * ONE + (value < 0 ? -0.5 : 0.5))) };
  });
}

function pass(pixels, lines, to, weights, source, target) {
  const made = new Uint8ClampedArray(4 * lines * to);
  for (let line = 0; line < lines; line++) {
    for (let at = 0; at < to; at++) {
      const { first, weights: shares } = weights[at];
      for (let channel = 0; channel < 4; channel++) {
        let sum = ONE / 2;
        for (let place = 0; place < shares.length; place++) {
          sum += pixels[source(line, first + place) + channel] * shares[place];
        }
        made[target(line, at) + channel] = Math.floor(sum / ONE);
      }
    }
  }
  return made;
}
