"""Restoring one aligned face against the time that its arithmetic needs at the machine's matrix-product peak.

    python tools/bench_restore.py --resolution 512 --width 1

Measures what `rethink-fr restore --aligned` does for each picture after loading: the call of the loaded restorer, uint8
in and out. "ratio" is that time over (multiply-accumulates / peak); 1 is the bound. Weights are random.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from _benchmark import arguments_of, at_peak, peak_memory

from rethink_fr import images
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.restorer.system import build, complexity, inference


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--skips", type=int, default=4)
    parser.set_defaults(repeats=15)
    arguments = parser.parse_args()

    model = ModelConfig(resolution=arguments.resolution, width=arguments.width, n_skips=arguments.skips)
    restorer = build(model)
    network = inference(restorer)
    loaded = LoadedRestorer(network._replace(function=tf.function(network.function, reduce_retracing=True)))
    picture = np.random.default_rng(0).integers(0, 256, [1, model.resolution, model.resolution, 3], dtype=np.uint8)
    noise = loaded.draw_noise(0, 1)

    def restore() -> np.ndarray:
        return images.to_uint8(loaded(images.to_model(picture), noise)).numpy()

    macs = complexity(model)["restorer"].multiply_accumulates
    found = at_peak(restore, arguments.repeats, warm_up=4)
    print(f"resolution {model.resolution}, width {model.width:g}: {macs / 1e9:.2f} GMAC an image")
    needed = macs / found.peak
    print(f"matrix-product peak {found.peak / 1e9:.1f} GMAC/s, so the arithmetic needs {needed:.3f} s")
    print(f"one image {found.seconds:.3f} s, ratio {found.seconds / needed:.2f}")
    print(f"peak memory {peak_memory():.2f} GiB")


if __name__ == "__main__":
    main()
