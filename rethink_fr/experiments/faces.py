"""The test pictures of an experiment: clean, and degraded once, so that all variants and seeds restore the same."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.parsing import plain
from rethink_fr.config.sections import DegradationConfig
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.errors import RunFailure
from rethink_fr.evaluation.pairs import files_by_name, read_identities
from rethink_fr.experiments.children import Stop, run_child
from rethink_fr.experiments.definition import overrides
from rethink_fr.experiments.folder import CLEAN, DEGRADED, IDENTITIES, Folder
from rethink_fr.experiments.plan import Options, Plan
from rethink_fr.files.locks import LockedError, exclusive_lock
from rethink_fr.files.names import printable
from rethink_fr.files.writing import new_folder, write_bytes, write_json, write_text
from rethink_fr.pictures.files import UnreadableImage, encode_png, read_square

SEED = 20220624  # of the degradation
_FIRST_PERSON = 10**6  # nobody of the built-in training or validation faces
_PEOPLE, _PICTURES = 24, 2  # drawn test faces
_FACES = "faces.json"


def check_faces(options: Options) -> None:
    """Find out, before anything is trained, whether the test pictures are there and have the identities given.

    Raises:
        ValueError: saying what is missing.
    """
    if options.test:
        if options.train and os.path.realpath(options.train) == os.path.realpath(options.test):
            raise ConfigError(f"--test {printable(options.test)}: is what is trained on; expected pictures of others")
        names = list(files_by_name(options.test))
        if options.identities is not None:
            read_identities(options.identities, names)
    elif options.identities is not None:
        raise ConfigError("--identities: is for --test; the drawn faces have their own")


def make_faces(plan: Plan, folder: Folder, stop: Stop) -> List[Tuple[str, str]]:
    """Make the test pictures, unless they are there.

    Returns:
        Pictures that cannot be used, with the reason.

    Raises:
        RunFailure: if none can be used, or they cannot be degraded.
    """
    while not (folder.faces / _FACES).is_file():
        try:
            with exclusive_lock(folder.path / "faces.lock", "the test pictures"):
                if folder.faces.is_dir() and not (folder.faces / _FACES).is_file():
                    raise RunFailure(f"{printable(folder.faces)}: has no {_FACES}; remove this folder")
                if not folder.faces.is_dir():
                    _make(plan, folder, stop)
        except LockedError:
            stop.wait(0.5)
    return [(name, reason) for name, reason in faces_record(folder)["unreadable"]]


def faces_record(folder: Folder) -> Dict[str, Any]:
    """What is noted of the test pictures: how many there are, of how many people, and the command that degrades."""
    found: Dict[str, Any] = json.loads((folder.faces / _FACES).read_text(encoding="utf-8"))
    return found


def people(folder: Folder) -> Optional[Dict[str, str]]:
    """Who is on each test picture; None if that is not known."""
    path = folder.identities
    if path is None:
        return None
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["identity"] for row in csv.DictReader(file)}


def _make(plan: Plan, folder: Folder, stop: Stop) -> None:
    options, size = plan.options, plan.config.model.resolution
    unreadable: List[Tuple[str, str]] = []
    names: List[str] = []
    with new_folder(folder.faces) as new:
        identities = _drawn_identities() if not options.test else None
        for name, picture in _clean(options, size, unreadable):
            write_bytes(new / CLEAN / f"{name}.png", encode_png(picture))
            names.append(name)
        if not names:
            first = f", {unreadable[0][0]}: {unreadable[0][1]}" if unreadable else ""
            raise RunFailure(f"{printable(options.test)}: none of the test pictures can be used{first}")
        if options.identities is not None:
            identities = read_identities(options.identities, names)
        if identities is not None:
            write_text(new / IDENTITIES, _csv([(name, identities[name]) for name in names]))
        log = folder.path / "degrade.log"
        command = ["degrade", str(new / CLEAN), "--output", str(new / DEGRADED)]
        command += _degradation(plan.config.degradation)
        ended = run_child(command, log, stop)
        if ended.code != 0:
            raise RunFailure(f"the test pictures cannot be degraded: {ended.reason}")
        command[1], command[3] = str(folder.clean), str(folder.degraded)
        record = {
            "pictures": len(names),
            "people": None if identities is None else len({identities[name] for name in names}),
            "source": options.test or f"drawn faces of {_PEOPLE} people, {_PICTURES} of each",
            "resolution": size,
            "degrade": command,
            "unreadable": unreadable,
            "made": time.strftime("%Y-%m-%d"),
        }
        write_json(new / _FACES, record)


def _clean(options: Options, size: int, unreadable: List[Tuple[str, str]]) -> Iterator[Tuple[str, np.ndarray]]:
    """Names and clean pictures, uint8 `[size, size, 3]`."""
    if not options.test:
        for person in range(_PEOPLE):
            for number in range(_PICTURES):
                yield _drawn_name(person, number), draw_face(_FIRST_PERSON + person, number, size).image
        return
    for name, path in files_by_name(options.test).items():
        try:
            yield name, read_square(path, size).image
        except UnreadableImage as error:
            unreadable.append((name, error.reason))


def _drawn_identities() -> Dict[str, str]:
    return {_drawn_name(person, number): f"{person:02d}" for person in range(_PEOPLE) for number in range(_PICTURES)}


def _drawn_name(person: int, number: int) -> str:
    return f"person{person:02d}-{number}"


def _degradation(section: DegradationConfig) -> List[str]:
    """The options of `rethink-fr degrade` that mean this section of a configuration."""
    settings = overrides(plain(section))
    return ["--seed", str(SEED), *(part for one in settings for part in ("--set", one))]


def _csv(rows: List[Tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", "identity"), *rows])
    return text.getvalue()
