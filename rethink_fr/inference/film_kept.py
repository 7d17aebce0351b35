"""What is finished of a clip while it is being restored, in a hidden folder beside the output.

`state.json` says what it was made of; `faces.jsonl` has a line for each frame that was searched; and there are the
segments that are done. A later call goes on from there. When the clip is whole the folder is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List

import numpy as np
from PIL import Image

from rethink_fr.faces.face import Detector, Face
from rethink_fr.faces.search import find_faces
from rethink_fr.files.reading import UnreadableFile, file_stamp, read_json
from rethink_fr.files.writing import write_json
from rethink_fr.film.clips import UnreadableClip
from rethink_fr.inference.faces import restore_faces
from rethink_fr.inference.photo_report import PhotoSettings

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

_FORMAT = 1  # of what is kept
_ALIKE = 2  # levels by which two answers of one model may differ


class Kept:
    """The finished parts of one clip; see `kept_work`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._faces: Dict[int, List[Face]] = {}
        with suppress(OSError):
            for line in self._searches.read_bytes().splitlines():
                with suppress(ValueError, TypeError, KeyError, RecursionError):  # the last line of a killed process
                    entry = json.loads(line)
                    faces = [(one["box"], one["points"], one["score"]) for one in entry["faces"]]
                    self._faces[entry["frame"]] = [
                        Face(tuple(box), np.array(points, np.float64).reshape(5, 2), float(score))
                        for box, points, score in faces
                    ]

    def segment(self, number: int) -> Path:
        """Where a segment is, or will be."""
        return self._folder / f"{number:06d}.mkv"

    def faces(self, number: int, image: Image.Image, detector: Detector, settings: PhotoSettings) -> List[Face]:
        """The faces in a frame, which is searched unless it was before."""
        if number not in self._faces:
            found = find_faces(image, detector, settings.min_face, settings.detection_threshold)
            self._faces[number] = found
            faces = [{"box": one.box, "points": one.points.tolist(), "score": one.score} for one in found]
            with open(self._searches, "ab") as file:
                file.write(b"\n" + json.dumps({"frame": number, "faces": faces}).encode())
        return self._faces[number]

    @property
    def _searches(self) -> Path:
        return self._folder / "faces.jsonl"


@contextmanager
def kept_work(
    clip: Path, output: Path, settings: PhotoSettings, restorer: LoadedRestorer, continues: bool
) -> Iterator[Kept]:
    """Open what is kept of a clip. It is removed when the block ends well, and if the clip cannot be restored.

    Args:
        clip: its file. What was kept of another one is not used, nor what another model made.
        output: what it becomes; what is kept lies beside it.
        settings: how it is restored.
        restorer: see `load_restorer`.
        continues: whether what an earlier call kept may be used.

    Raises:
        WriteError: if the folder cannot be made.
    """
    import av

    digest = hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]
    folder = output.parent / f".rfr-clip-{digest}"
    stamp = file_stamp(clip)
    state = {
        "format": _FORMAT,
        "av": av.__version__,
        "stamp": None if stamp is None else list(stamp),
        "settings": asdict(settings),
        "answer": _answer(restorer),
    }
    if not continues or folder.is_symlink() or not _same(folder / "state.json", state):
        _remove(folder)
        write_json(folder / "state.json", state)
    try:
        yield Kept(folder)
    except UnreadableClip:
        _remove(folder)
        raise
    _remove(folder)


def _same(path: Path, state: Dict[str, object]) -> bool:
    try:
        found = read_json(path, "what is kept of a clip")
        answer, expected = found.pop("answer"), dict(state).pop("answer")
        alike = np.abs(np.array(answer) - np.array(expected)).max() <= _ALIKE
    except (UnreadableFile, AttributeError, KeyError, TypeError, ValueError):
        return False
    return bool(alike) and found == {key: value for key, value in state.items() if key != "answer"}


def _answer(restorer: LoadedRestorer) -> List[int]:
    """What a restorer makes of a fixed picture, in few numbers: one that was trained further is another one."""
    side = restorer.resolution
    rows, columns = np.mgrid[:side, :side] * (255 / side)
    square = np.stack([rows, columns, 255 - rows], axis=2).astype(np.uint8)
    noise = None if restorer.noise_shape is None else restorer.draw_noise(0, 1).numpy()
    made = restore_faces(restorer, [square], [noise])[0][0]
    return [int(value) for value in np.asarray(Image.fromarray(made).resize((8, 8), Image.Resampling.BOX)).ravel()]


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
