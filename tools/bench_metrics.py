"""What the metrics cost: time and memory.

    python tools/bench_metrics.py                      # some minutes
    python tools/bench_metrics.py --features 3000 --dimensions 512 --frechet 2000 --check

Prints one line for each: PSNR + SSIM of a 512 x 512 picture, and the ratio to scikit-image's if that is installed
(above 1: ours is faster); iPrecision and iRecall of two sets of features, with the largest memory of the process so
far, and with --check whether all answers equal those of every distance computed in float64 (takes a few times as
long); the Frechet distance of two sets of 2048 dimensions, and the share of its time that is spent in the QR and the
singular value decompositions, so not in ours.
"""

from __future__ import annotations

import time
from typing import Callable, Dict
from unittest import mock

import numpy as np
from _benchmark import arguments_of, median_seconds, peak_memory
from scipy import linalg

from rethink_fr.metrics import Coverage, coverage, frechet_distance, psnr, ssim


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--features", type=int, default=30000, help="of each set, for iPrecision")
    parser.add_argument("--dimensions", type=int, default=512, help="of those features")
    parser.add_argument("--check", action="store_true", help="compare iPrecision and iRecall with brute force")
    parser.add_argument("--frechet", type=int, default=10000, help="features of 2048 dimensions of each set")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)

    clean = generator.integers(0, 256, (1, 512, 512, 3), dtype=np.uint8)
    restored = clean ^ generator.integers(0, 16, clean.shape, dtype=np.uint8)
    functions = {"ours": lambda: (psnr(restored, clean), ssim(restored, clean))}
    try:
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    except ImportError:
        ratio = "scikit-image is not installed, no ratio"
        seconds = median_seconds(functions, arguments.repeats)
    else:
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        a, b = restored[0], clean[0]
        functions["theirs"] = lambda: (
            peak_signal_noise_ratio(b, a),
            structural_similarity(b, a, channel_axis=2, **settings),
        )
        seconds = median_seconds(functions, arguments.repeats)
        ratio = f"scikit-image {1e3 * seconds['theirs']:.1f} ms, ratio {seconds['theirs'] / seconds['ours']:.2f}"
    print(f"PSNR + SSIM, 512 x 512: {1e3 * seconds['ours']:.1f} ms; {ratio}")

    shape = [arguments.features, arguments.dimensions]
    real = generator.normal(size=shape).astype(np.float32)
    # From no likeness to more than a neighbour's, so that answers of both kinds are many.
    likeness = generator.uniform(0.0, 0.5, [shape[0], 1]).astype(np.float32)
    fake = likeness * real + np.sqrt(1.0 - likeness**2) * generator.normal(size=shape).astype(np.float32)
    identities = np.arange(len(real)) // 4
    started = time.perf_counter()
    found = coverage(real, fake, identities, identities)
    spent = time.perf_counter() - started
    shares = f"iprecision {found.iprecision[-1]:.4f}, irecall {found.irecall[-1]:.4f}"
    print(f"iPrecision and iRecall, {shape[0]} x {shape[0]} x {shape[1]}: {spent:.1f} s, {peak_memory():.2f} GiB")
    print(f"  {shares}")
    if arguments.check:
        for name, answers, expected in zip(
            found._fields, found, brute_force(real, fake, identities, len(found.precision))
        ):
            print(f"  {name}: {np.sum(answers != expected)} of {expected.size} answers differ from brute force")

    a, b = (generator.normal(size=[arguments.frechet, 2048]) for _ in range(2))
    inside = {"qr": 0.0, "svdvals": 0.0}
    with mock.patch.multiple(linalg, **{name: timed(getattr(linalg, name), inside) for name in inside}):
        spent = median_seconds({"distance": lambda: frechet_distance(a, b)}, repeats=1, warm_up=0)["distance"]
    parts = ", ".join(f"{name} {100 * part / spent:.0f} %" for name, part in inside.items())
    print(f"Frechet distance, {arguments.frechet} x 2048: {spent:.1f} s, of which {parts}")


def brute_force(real: np.ndarray, fake: np.ndarray, identities: np.ndarray, k: int) -> Coverage:
    """The definition, from all distances in float64, some rows at a time; both sets have the same identities."""

    def distances(a: np.ndarray, b: np.ndarray, rows: slice) -> np.ndarray:
        part = a[rows].astype(np.float64)
        squares = np.square(part).sum(axis=1)[:, None] + np.square(b, dtype=np.float64).sum(axis=1)
        return squares - 2.0 * part @ b.astype(np.float64).T

    def radii(points: np.ndarray) -> np.ndarray:
        # The nearest of all is the feature itself.
        return np.concatenate(
            [np.sort(np.partition(distances(points, points, rows), k, axis=1)[:, : k + 1])[:, 1:] for rows in blocks]
        )

    def inside(points: np.ndarray, centres: np.ndarray, radii_of_centres: np.ndarray, own: bool) -> np.ndarray:
        found = []
        for rows in blocks:
            apart = distances(points, centres, rows)
            if own:
                apart[identities[rows, None] != identities] = np.inf
            found.append(np.stack([(apart <= radii_of_centres[:, one]).any(axis=1) for one in range(k)], axis=1))
        return np.concatenate(found)

    blocks = [slice(start, start + 500) for start in range(0, len(real), 500)]
    real_radii, fake_radii = radii(real), radii(fake)
    return Coverage(
        inside(fake, real, real_radii, False),
        inside(real, fake, fake_radii, False),
        inside(fake, real, real_radii, True),
        inside(real, fake, fake_radii, True),
    )


def timed(function: Callable, spent: Dict[str, float]) -> Callable:
    """`function`, adding the seconds that it takes to its name's entry."""

    def run(*arguments, **named):
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[function.__name__] += time.perf_counter() - started

    return run


if __name__ == "__main__":
    main()
