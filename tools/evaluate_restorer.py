"""PSNR and SSIM of degraded, bicubic and restored faces over a folder of clean ones.

    python tools/evaluate_restorer.py --model runs/faces --images FOLDER --sheet sheet.png --samples 8

The degradation is the run's own, or that of --config, drawn with a seed that training does not use. "bicubic", of blind
degradation only, is the same small image enlarged by a bicubic filter; "mean" is that of the samples. Prints means, and
the mean gain over the degraded image with its standard error. --output writes the pictures, for `rethink-fr evaluate`:
those of a column into a folder of its name, and NAME_1.png, NAME_2.png, ... into "samples".
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from rethink_fr import images
from rethink_fr.data.degradation.tasks import degrade_for_task, reduced
from rethink_fr.data.sources.opening import open_source
from rethink_fr.inference.loading import load_restorer
from rethink_fr.metrics import psnr, ssim
from rethink_fr.pictures.listing import list_images
from rethink_fr.pictures.sheets import contact_sheet
from rethink_fr.runs.config_file import load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", required=True, help="a folder of clean images, or builtin")
    parser.add_argument("--config", help="whose degradation is meant; default: the run's")
    parser.add_argument("--seed", type=int, default=12345, help="of the degradation")
    parser.add_argument("--samples", type=int, default=1, help="restorations of each face with noise")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of eight faces")
    parser.add_argument("--output", type=Path, help="write each column's pictures to a folder in here")
    arguments = parser.parse_args()

    restorer = load_restorer(arguments.model)
    degradation = load_config(arguments.config or arguments.model / "config.yaml").degradation
    source = open_source(arguments.images, restorer.resolution, first_identity=10**6, identities=64, pictures=1)
    clean = np.stack([source.read(index) for index in range(len(source))])
    seed, task = arguments.seed, degradation.task
    degraded = np.stack([degrade_for_task(one, seed, index, degradation, task) for index, one in enumerate(clean)])
    columns = {"degraded": degraded}
    if task == "blind":
        columns["bicubic"] = np.stack([enlarged(one, seed, index, degradation) for index, one in enumerate(clean)])

    def restored(noise_scale: float, draw: int = 0) -> np.ndarray:
        parts = []
        for start in range(0, len(degraded), 16):
            given = images.to_model(degraded[start : start + 16])
            parts.append(restorer(given, noise_scale=noise_scale, seed=len(degraded) * draw + start).numpy())
        return np.clip(np.concatenate(parts), -1.0, 1.0)

    columns["restored"] = images.to_uint8(restored(0.0)).numpy()
    samples = []
    if restorer.noise_shape:
        drawn = [restored(1.0, draw) for draw in range(arguments.samples)]
        samples = [images.to_uint8(one).numpy() for one in drawn]
        columns["sample"] = samples[0]
        if len(samples) > 1:
            columns["mean"] = images.to_uint8(np.mean(drawn, axis=0)).numpy()

    base = psnr(degraded, clean), ssim(degraded, clean)
    print(f"{len(clean)} images of {restorer.resolution} px")
    for name, pictures in columns.items():
        values = psnr(pictures, clean), ssim(pictures, clean)
        gains = [value - start for value, start in zip(values, base)]
        errors = [np.std(gain) / np.sqrt(len(gain)) for gain in gains]
        print(
            f"{name:18} PSNR {np.mean(values[0]):6.2f} dB ({np.mean(gains[0]):+.2f} +- {errors[0]:.2f})   "
            f"SSIM {np.mean(values[1]):.4f} ({np.mean(gains[1]):+.4f} +- {errors[1]:.4f})   "
            f"better than degraded in PSNR: {np.mean(gains[0] > 0):.0%}"
        )
    shown = {**columns, "clean": clean}
    if arguments.output:
        files = list_images(Path(arguments.images)) if Path(arguments.images).is_dir() else []
        named = len(files) == len(clean)  # not if some could not be read
        names = [files[index].stem if named else f"{index:06d}" for index in range(len(clean))]
        for column, pictures in shown.items():
            write(arguments.output / column, names, pictures)
        for draw, pictures in enumerate(samples, start=1):
            write(arguments.output / "samples", [f"{name}_{draw}" for name in names], pictures)
    if arguments.sheet:
        chosen = np.linspace(0, len(clean) - 1, 8).astype(int)
        Image.fromarray(contact_sheet([pictures[chosen] for pictures in shown.values()], list(shown))).save(
            arguments.sheet
        )


def write(folder: Path, names: Sequence[str], pictures: np.ndarray) -> None:
    """Write each picture as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures):
        Image.fromarray(picture).save(folder / f"{name}.png")


def enlarged(picture: np.ndarray, seed: int, index: int, ranges) -> np.ndarray:
    """The degraded image as a bicubic enlargement of the same small image."""
    small = reduced(tf.constant(picture), tf.constant(seed, tf.int64), tf.constant(index, tf.int64), ranges)
    large = tf.image.resize(small, picture.shape[:2], "bicubic")
    return tf.cast(tf.round(tf.clip_by_value(large, 0.0, 255.0)), tf.uint8).numpy()


if __name__ == "__main__":
    main()
