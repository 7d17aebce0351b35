"""The pictures of a run: opened by the list that it made when it started, and skipped where they cannot be read."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import DataConfig, Experiment
from rethink_fr.data.pipeline import fixed_batch
from rethink_fr.data.sources.image_source import ImageSource
from rethink_fr.data.sources.opening import holdout_size, open_source, split_holdout
from rethink_fr.data.sources.picture_list import LIST_NAME, PictureList, RunLists, read_lists, write_lists
from rethink_fr.data.sources.records import verify_advice
from rethink_fr.data.sources.skipping import SkippingSource
from rethink_fr.files.names import printable
from rethink_fr.files.writing import WriteError, write_text

_SKIPS_TOLD = 5  # the others are in unreadable.txt


class RunPictures(NamedTuple):
    """Where a run's pictures come from."""

    train: SkippingSource
    validation: ImageSource
    lists: RunLists
    listed_before: bool  # whether the run had its lists already


def open_run_pictures(data: DataConfig, resolution: int, output: Path) -> RunPictures:
    """Open the pictures of the run in `output`, by its list if it has one, and say what has changed since.

    Raises:
        PictureListError: if the list is damaged.
        ConfigError: if it does not fit the configuration.
        ValueError, RunFailure: see `open_source`.
    """
    lists = read_lists(output)
    holds_out = data.validation == "holdout"
    if lists is not None and lists.train is not None:
        held_out = holdout_size(len(lists.train), data.validation_images) if holds_out else 0
        if lists.train.held_out != held_out:
            raise ConfigError(
                f"data.validation_images: {printable(output / LIST_NAME)} holds out {lists.train.held_out} pictures of "
                f"this run, the configuration {held_out}; put both back as they were"
            )
    train, validation = open_sources(data, resolution, lists, check=True)
    held_out = len(validation) if holds_out else 0
    for change in dict.fromkeys([*train.changes, *validation.changes]):  # a held-out part has the changes of the whole
        _say(change)
    skipping = SkippingSource(train, data.train, _advice(data.train, train.pictures))
    if lists is not None:
        return RunPictures(skipping, validation, lists, True)
    made = RunLists(
        dataclasses.replace(train.pictures, held_out=held_out) if train.pictures else None,
        None if held_out else validation.pictures,
    )
    return RunPictures(skipping, validation, made, False)


def keep_list(pictures: RunPictures, output: Path, strategy: tf.distribute.Strategy, chief: bool) -> None:
    """Write the run's list, once, and have what training skips listed in `unreadable.txt`. Every worker calls it.

    Raises:
        ConfigError: if another worker has other pictures.
        WriteError: if the list cannot be written.
    """
    _check_all_alike(pictures, output, strategy)
    if chief and not pictures.listed_before and pictures.lists != RunLists():
        if any((output / "checkpoints").glob("*.index")):
            _say(
                f"{printable(output)}: this run had no list of its pictures; {LIST_NAME} is made of what the folders "
                "hold now"
            )
        write_lists(output, pictures.lists)
    source = pictures.train
    told = 0

    def tell(name: str, reason: str) -> None:
        nonlocal told
        told += 1
        if told <= _SKIPS_TOLD:
            _say(f"skipped, the next picture takes its place: {printable(name)} ({reason})")
        if told == _SKIPS_TOLD:
            _say(f"further ones are listed in {printable(output)}/unreadable.txt only")
        if chief:
            try:
                write_unreadable(output, source)
            except WriteError as error:  # reading must go on
                _say(str(error))

    source.on_skip = tell


def write_unreadable(output: Path, source: ImageSource) -> None:
    """Write `unreadable.txt`: name and reason of each picture that is not used.

    Raises:
        WriteError: if it cannot be written.
    """
    lines = [f"{printable(name)}: {reason}\n" for name, reason in source.unreadable]
    write_text(output / "unreadable.txt", "".join(lines))


def _check_all_alike(pictures: RunPictures, output: Path, strategy: tf.distribute.Strategy) -> None:
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    ours = pictures.lists.fingerprint()
    values = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([ours], tf.int64))
    everyones = strategy.gather(values, axis=0).numpy()
    if (everyones != ours).any():
        raise ConfigError(
            f"data.train: the workers' folders hold different pictures; give all of them the same ones, and a run that "
            f"has started its {printable(output / LIST_NAME)}"
        )


def _advice(where: str, pictures: Optional[PictureList]) -> str:
    if pictures is not None and pictures.kind == "shards":
        return verify_advice(where)
    return "put them back as they were"


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def open_sources(
    data: DataConfig,
    resolution: int,
    lists: Optional[RunLists] = None,
    check: bool = False,
) -> Tuple[ImageSource, ImageSource]:
    """The clean images of a configuration: `(train, validation)`, nobody drawn being in both.

    `lists` are those of the run, if it has some; `check`: see `open_source`.
    """
    identities, lists = data.builtin_identities, lists or RunLists()
    train = open_source(
        data.train, resolution, identities=identities, pictures=data.builtin_pictures, check=check, listed=lists.train
    )
    if data.validation == "holdout":
        held_out = holdout_size(len(train), data.validation_images)
        if held_out > len(train) // 2 or held_out != data.validation_images:
            tqdm.write(
                f"{printable(data.train)}: {held_out} of its {len(train)} pictures are held out, "
                f"{len(train) - held_out} are trained on; another share: --set data.validation_images=N",
                file=sys.stderr,
            )
        return split_holdout(train, held_out)
    # Identities past the last of the training set, one picture each.
    validation = open_source(
        data.validation,
        resolution,
        first_identity=identities,
        identities=data.validation_images,
        pictures=1,
        check=check,
        listed=lists.validation,
    )
    return train, validation


def fixed_faces(config: Experiment, validation: ImageSource) -> Tuple[Dict[str, np.ndarray], Dict[str, np.ndarray]]:
    """`(samples, validation)` faces, degraded once and for all."""
    faces = fixed_batch(
        validation,
        config.data.validation_images,
        seed=_VALIDATION_SEED,
        ranges=config.degradation,
        task=config.degradation.task,
    )
    return {name: pictures[:_SAMPLE_FACES] for name, pictures in faces.items()}, faces


_SAMPLE_FACES = 6


_VALIDATION_SEED = 1
