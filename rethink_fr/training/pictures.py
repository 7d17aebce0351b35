"""The pictures of a run: opened by the list that it made at its start, and handed to the trainer in batches."""

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
from rethink_fr.data.pipeline import fixed_batch, training_batches
from rethink_fr.data.sources.image_source import ImageSource, PictureList, SkippingSource
from rethink_fr.data.sources.opening import evenly, holdout_size, open_source, split_holdout
from rethink_fr.data.sources.records import verify_advice
from rethink_fr.data.sources.several import SeveralSource, open_parts
from rethink_fr.files.names import printable
from rethink_fr.files.writing import WriteError, write_text
from rethink_fr.runs.picture_lists import LIST_NAME, RunLists, read_lists, write_lists
from rethink_fr.training.devices import everyones

_SAMPLE_FACES = 6
_SKIPS_TOLD = 5  # `unreadable.txt` lists the others
_VALIDATION_SEED = 1


class RunPictures(NamedTuple):
    """The pictures of a run."""

    train: SkippingSource
    validation: ImageSource
    lists: RunLists
    listed_before: bool  # whether the run had its lists already

    def batches(
        self, config: Experiment, strategy: tf.distribute.Strategy, first_step: int, degrade: bool
    ) -> tf.distribute.DistributedDataset:
        """Training batches from `first_step` on, shared by the replicas of a strategy; see `training_batches`."""
        return strategy.distribute_datasets_from_function(
            lambda context: training_batches(
                self.train,
                seed=config.training.seed,
                global_batch=config.training.global_batch,
                start_step=first_step,
                flip=config.data.flip,
                color_jitter=config.data.color_jitter,
                ranges=config.degradation,
                task=config.degradation.task,
                degrade=degrade,
                workers=config.data.workers,
                service=config.data.service,
                input_context=context,
            )
        )


def open_run_pictures(data: DataConfig, resolution: int, output: Path) -> RunPictures:
    """Open the pictures of the run in `output`, and tell what has changed since its start.

    Args:
        data: the configuration's section.
        resolution: of the images, in pixels.
        output: the run's folder. If it has lists of pictures, they decide which ones are used.

    Raises:
        PictureListError: if the lists cannot be used.
        ConfigError: if they do not fit the configuration.
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
    where = ", ".join(folder.path for folder in data.folders) or data.train
    used = evenly(train, data.portion)
    if len(used) < len(train):
        _say(f"{printable(where)}: {len(used)} of its {len(train)} pictures are trained on (data.portion)")
    skipping = SkippingSource(used, where, _advice(where, train.pictures))
    if lists is not None:
        return RunPictures(skipping, validation, lists, True)
    made = RunLists(
        dataclasses.replace(train.pictures, held_out=held_out) if train.pictures else None,
        None if held_out else validation.pictures,
        train.lists if isinstance(train, SeveralSource) else (),
    )
    return RunPictures(skipping, validation, made, False)


def open_sources(
    data: DataConfig,
    resolution: int,
    lists: Optional[RunLists] = None,
    check: bool = False,
) -> Tuple[ImageSource, ImageSource]:
    """Open the clean images of a configuration: `(train, validation)`. No drawn person is in both.

    Args:
        data: the configuration's section.
        resolution: of the images, in pixels.
        lists: of the run, if it has some.
        check: whether prepared files are compared with their SHA-256.

    Raises:
        ValueError, RunFailure: see `open_source`.
    """
    identities, lists = data.builtin_identities, lists or RunLists()
    if data.folders:
        several = open_several(data, resolution, lists, check)
        if data.validation == "holdout":
            return several
        train: ImageSource = several[0]
    else:
        train = open_source(
            data.train,
            resolution,
            identities=identities,
            pictures=data.builtin_pictures,
            check=check,
            listed=lists.train,
        )
    if data.validation == "holdout":
        held_out = holdout_size(len(train), data.validation_images)
        if held_out > len(train) // 2 or held_out != data.validation_images:
            _say(
                f"{printable(data.train)}: {held_out} of its {len(train)} pictures are held out, "
                f"{len(train) - held_out} are trained on; another share: --set data.validation_images=N"
            )
        return split_holdout(train, held_out)
    # The people after the last one of the training set, with one picture each.
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


def open_several(
    data: DataConfig, resolution: int, lists: RunLists, check: bool = False
) -> Tuple[SeveralSource, ImageSource]:
    """Open the training folders of a configuration that has several: what is trained on, and what their lists hold out.

    Args:
        data, resolution, lists, check: see `open_sources`.

    Raises:
        ConfigError: if the run has lists of other folders.
        ValueError, RunFailure: see `open_parts`.
    """
    if lists.folders and len(lists.folders) != len(data.folders):
        known = len(lists.folders)
        raise ConfigError(f"data.folders: {LIST_NAME} of this run is of {known} folders, expected {len(data.folders)}")
    listed = lists.folders or (None,) * len(data.folders)
    parts = [
        open_parts(folder.path, resolution, folder.held_out, check, known)
        for folder, known in zip(data.folders, listed)
    ]
    for note in (note for part in parts for note in part.notes):
        _say(note)
    train = SeveralSource([part.train for part in parts], [folder.share for folder in data.folders])
    train.lists = tuple(part.pictures for part in parts if part.pictures is not None)
    return train, SeveralSource([part.held_out for part in parts if len(part.held_out)] or [train])


def keep_list(pictures: RunPictures, output: Path, strategy: tf.distribute.Strategy, chief: bool) -> None:
    """Write the lists of a new run, and have each picture that training skips named and listed in `unreadable.txt`.

    Every worker has to call this function.

    Raises:
        ConfigError: if another worker has other pictures.
        WriteError: if the lists cannot be written.
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
            except WriteError as error:  # training must go on
                _say(str(error))

    source.on_skip = tell


def write_unreadable(output: Path, source: ImageSource) -> None:
    """Write `unreadable.txt`: a line with name and reason for each picture that is not used.

    Raises:
        WriteError: if it cannot be written.
    """
    lines = [f"{printable(name)}: {reason}\n" for name, reason in source.unreadable]
    write_text(output / "unreadable.txt", "".join(lines))


def fixed_faces(config: Experiment, validation: ImageSource) -> Tuple[Dict[str, np.ndarray], Dict[str, np.ndarray]]:
    """The faces of the sample sheets and those of the validation, always the same ones; each as by `fixed_batch`."""
    faces = fixed_batch(
        validation,
        config.data.validation_images,
        seed=_VALIDATION_SEED,
        ranges=config.degradation,
        task=config.degradation.task,
    )
    return {name: pictures[:_SAMPLE_FACES] for name, pictures in faces.items()}, faces


def _check_all_alike(pictures: RunPictures, output: Path, strategy: tf.distribute.Strategy) -> None:
    if len(set(everyones(pictures.lists.fingerprint(), strategy))) > 1:
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
