// Runs the network, beside the page so that this stays usable.

import { normalNoise } from "./noise.js";
import * as ort from "./ort.wasm.min.js";

const MOST_THREADS = 4; // more hardly help a network of this kind, and the machine has other work

let session = null;
let model = null;

self.onmessage = async ({ data: asked }) => {
  try {
    if (session === null) {
      model = asked.model;
      session = await started();
    }
    for (let number = 0; number < asked.wanted.samples; number++) {
      const begun = performance.now();
      const pixels = await restored(asked.pixels, control(asked.wanted, number));
      self.postMessage({ kind: "restored", pixels, seconds: (performance.now() - begun) / 1000 });
    }
    self.postMessage({ kind: "done", threads: ort.env.wasm.numThreads });
  } catch (error) {
    self.postMessage({ kind: "failed", message: String(error?.message ?? error).split("\n")[0] });
  }
};

async function started() {
  const parts = Object.entries(model.files);
  const total = parts.reduce((sum, [, size]) => sum + size, 0);
  let before = 0;
  const data = {};
  for (const [name, size] of parts) {
    data[name] = await fetched(name, size, (arrived) => {
      self.postMessage({ kind: "progress", arrived: before + arrived, total });
    });
    before += size;
  }
  ort.env.logLevel = "error";
  // Browsers allow threads only where the server sends the headers of the file _headers.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.wasmPaths = { mjs: new URL("ort-wasm-simd-threaded.js", self.location.href).href };
  ort.env.wasm.wasmBinary = data["ort-wasm-simd-threaded.wasm"].buffer;
  return ort.InferenceSession.create(data["model.onnx"], { executionProviders: ["wasm"] });
}

/** A file of this site, as a Uint8Array. Its size is known beforehand: hosts that compress do not tell it. */
async function fetched(name, size, told) {
  const response = await fetch(name, { cache: "no-cache" }); // asks whether it is still the same
  if (!response.ok) throw new Error(`${name} could not be loaded: the server answered ${response.status}`);
  const data = new Uint8Array(size);
  let at = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length <= size) data.set(value, at);
    at += value.length;
    told(Math.min(at, size));
  }
  if (at !== size) throw new Error(`${name} has ${at} bytes, expected ${size}: load the page again`);
  return data;
}

/** The second input of the network, for the restoration of this number; null if it has none. */
function control({ seed, noise, fidelity }, number) {
  if (model.control === null) return null;
  if (model.control === "fidelity") return Float32Array.of(fidelity);
  const size = model.control_shape.reduce((product, length) => product * length, 1);
  return noise === 0 ? new Float32Array(size) : normalNoise(size, seed, number).map((value) => value * noise);
}

/** One restoration of an RGBA picture, with its noise or fidelity if the network takes one. */
async function restored(pixels, second) {
  const side = model.side;
  const colours = new Uint8Array(3 * side * side);
  for (let pixel = 0; pixel < side * side; pixel++) {
    colours.set(pixels.subarray(4 * pixel, 4 * pixel + 3), 3 * pixel);
  }
  const inputs = { images: new ort.Tensor("uint8", colours, [1, side, side, 3]) };
  if (second) inputs[model.control] = new ort.Tensor("float32", second, [1, ...model.control_shape]);
  const { data } = (await session.run(inputs, ["restored"])).restored;
  const made = new Uint8ClampedArray(pixels.length).fill(255);
  for (let pixel = 0; pixel < side * side; pixel++) {
    made.set(data.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
  }
  return made;
}
