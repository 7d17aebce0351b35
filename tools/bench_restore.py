"""Restoring one aligned face against the time that its arithmetic needs at the machine's matrix-product peak.

    python tools/bench_restore.py --resolution 512 --width 1

Measures what `rethink-fr restore --aligned` does for each picture after loading: the call of the loaded restorer, uint8
in and out. "ratio" is that time over (multiply-accumulates / peak); 1 is the bound. Weights are random.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
import tensorflow as tf
from _timing import gemm_peak, median_seconds

from rethink_fr import images
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.restorer.system import build, complexity, inference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--skips", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=15)
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
    before = gemm_peak()
    seconds = median_seconds(restore, arguments.repeats, warm_up=4)
    peak = (before + gemm_peak()) / 2
    print(f"resolution {model.resolution}, width {model.width:g}: {macs / 1e9:.2f} GMAC an image")
    print(f"matrix-product peak {peak / 1e9:.1f} GMAC/s, so the arithmetic needs {macs / peak:.3f} s")
    print(f"one image {seconds:.3f} s, ratio {seconds * peak / macs:.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
