"""Restoring many small photos: the pipeline on Beam's runner in this process against the local command.

    python tools/bench_scale_out.py --run runs/faces --photos 2000

Both restore the same photos in one process, with the network and the detector loaded and TensorFlow's threads as they
are. The photos are restored in parts, each part by one and then by the other, so that both see the same machine. What
is compared is the throughput once started: photos written between the first and the last of a part, by the times of
their files. "whole call" counts what comes before and after too: planning, building the pipeline, reports.
The issue asks for a ratio of at least 0.90.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List

import numpy as np
from PIL import Image

from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.inference.background import background
from rethink_fr.inference.folder import restore_photos
from rethink_fr.inference.photo_plan import plan_photos
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.inference.restore import plan_restoration, restore
from rethink_fr.scale_out import loaded
from rethink_fr.scale_out.aligned import AlignedSettings, restore_aligned
from rethink_fr.scale_out.photos import restore_photos as restore_photos_by_pipeline

DRAWN = 40  # faces; the photos are these at other places
WARM_UP = 8  # photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="what restores: a run directory, or a SavedModel")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--side", type=int, default=128, help="of a photo, in pixels")
    parser.add_argument("--aligned", action="store_true", help="restore --aligned")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _compare(Path(folder), arguments)


def _compare(folder: Path, arguments: argparse.Namespace) -> None:
    methods = (_aligned if arguments.aligned else _photos)(arguments.run)
    each = arguments.photos // arguments.parts
    _draw(folder / "warm", WARM_UP, arguments.side)
    for name, method in methods.items():
        method(folder / "warm", folder / f"warm-{name}")
    started: Dict[str, List[float]] = {name: [] for name in methods}
    whole: Dict[str, List[float]] = {name: [] for name in methods}
    for part in range(arguments.parts):
        _draw(folder / "in", each, arguments.side, part)
        for name, method in sorted(methods.items(), reverse=part % 2 == 1):  # neither is always the first
            output = folder / f"out-{name}"
            begun = time.perf_counter()
            method(folder / "in", output)
            whole[name].append(each / (time.perf_counter() - begun))
            started[name].append(_throughput(output, each))
        _check(folder, methods)
        print(f"part {part + 1}: " + ", ".join(f"{name} {speeds[-1]:.1f}/s" for name, speeds in started.items()))
    for what, speeds in (("once started", started), ("whole call", whole)):
        ratios = [one / other for one, other in zip(speeds["pipeline"], speeds["local"])]
        shown = ", ".join(f"{name} {median(found):.1f}/s" for name, found in speeds.items())
        print(f"{what}: {shown}; ratio {median(ratios):.3f} (parts: {min(ratios):.3f} to {max(ratios):.3f})")


def _photos(run: str) -> Dict[str, Callable[[Path, Path], Any]]:
    settings, restorer, detector = PhotoSettings(run), loaded.restorer(run, "float32"), loaded.detector(None)

    def local(given: Path, output: Path) -> None:
        restore_photos(restorer, detector, plan_photos([given], output, [], settings), background(None, 1))

    return {
        "local": local,
        "pipeline": lambda given, output: restore_photos_by_pipeline([given], output, settings, False, "direct"),
    }


def _aligned(run: str) -> Dict[str, Callable[[Path, Path], Any]]:
    settings, restorer, detector = AlignedSettings(run), loaded.restorer(run, "float32"), loaded.detector(None)

    def local(given: Path, output: Path) -> None:
        restore(restorer, run, plan_restoration([given], output, Path(run)), detector=detector)

    return {
        "local": local,
        "pipeline": lambda given, output: restore_aligned([given], output, settings, False, "direct"),
    }


def _draw(folder: Path, count: int, side: int, seed: int = 0) -> None:
    """Photos of one drawn face each, in PNG; what was there goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    generator = np.random.default_rng(seed)
    if not _faces:
        _faces.extend(draw_face(identity, 0, side * 3 // 4).image for identity in range(DRAWN))
    for number in range(count):
        photo = generator.integers(80, 120, (side, side, 3), np.uint8)
        top, left = generator.integers(0, side - side * 3 // 4, 2)
        face = _faces[number % DRAWN]
        photo[top : top + len(face), left : left + len(face)] = face
        Image.fromarray(photo).save(folder / f"{number:05d}.png", compress_level=1)


_faces: List[np.ndarray] = []


def _throughput(output: Path, count: int) -> float:
    times = sorted(path.stat().st_mtime_ns for path in output.glob("*.png"))
    assert len(times) == count, f"{len(times)} of {count} photos were written"
    return (count - 1) / (times[-1] - times[0]) * 1e9


def _check(folder: Path, methods: Dict[str, Any]) -> None:
    """Both made the same; then it goes, for the next part."""
    first, *others = [folder / f"out-{name}" for name in methods]
    for path in first.glob("*.png"):
        assert all(path.read_bytes() == (other / path.name).read_bytes() for other in others), path.name
    for output in (first, *others):
        shutil.rmtree(output)


if __name__ == "__main__":
    main()
