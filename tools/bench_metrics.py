"""What the metrics cost: time and memory.

    python tools/bench_metrics.py                      # some minutes
    python tools/bench_metrics.py --features 3000 --dimensions 512 --frechet 2000

Prints one line for each: PSNR + SSIM of a 512 x 512 picture, and the ratio to scikit-image's if that is installed
(above 1: ours is faster); iPrecision and iRecall of two sets of features, with the largest memory of the process so
far; the Frechet distance of two sets of 2048 dimensions, and the time of the singular values alone that it needs.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Callable

import numpy as np
from scipy import linalg

from rethink_fr.metrics import coverage, frechet_distance, psnr, ssim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=30000, help="of each set, for iPrecision")
    parser.add_argument("--dimensions", type=int, default=512, help="of those features")
    parser.add_argument("--frechet", type=int, default=10000, help="features of 2048 dimensions of each set")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)

    clean = generator.integers(0, 256, (1, 512, 512, 3), dtype=np.uint8)
    restored = clean ^ generator.integers(0, 16, clean.shape, dtype=np.uint8)
    ours = seconds(lambda: (psnr(restored, clean), ssim(restored, clean)), 10)
    print(f"PSNR + SSIM, 512 x 512: {1e3 * ours:.1f} ms", end="")
    try:
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    except ImportError:
        print("; scikit-image is not installed, no ratio")
    else:
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        a, b = restored[0], clean[0]
        theirs = seconds(
            lambda: (peak_signal_noise_ratio(b, a), structural_similarity(b, a, channel_axis=2, **settings)), 10
        )
        print(f"; scikit-image {1e3 * theirs:.1f} ms, ratio {theirs / ours:.2f}")

    shape = [arguments.features, arguments.dimensions]
    real = generator.normal(size=shape).astype(np.float32)
    fake = real + 0.5 * generator.normal(size=shape).astype(np.float32)
    identities = np.arange(len(real)) // 4
    spent = seconds(lambda: coverage(real, fake, identities, identities), 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"iPrecision and iRecall, {shape[0]} x {shape[0]} x {shape[1]}: {spent:.1f} s, {memory:.2f} GiB")

    a, b = (generator.normal(size=[arguments.frechet, 2048]) for _ in range(2))
    spent = seconds(lambda: frechet_distance(a, b), 1)
    alone = seconds(lambda: linalg.svdvals(a[:2048] @ b[:2048].T), 1)
    print(f"Frechet distance, {arguments.frechet} x 2048: {spent:.1f} s, of which singular values {alone:.1f} s")


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Shortest of `repeats` runs."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
