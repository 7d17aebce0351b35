"""`rethink-fr restore --aligned --runner`: single faces, each as `inference.restore` does it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from rethink_fr.inference.abilities import check_abilities
from rethink_fr.inference.faces import face_noise, restore_faces
from rethink_fr.inference.framing import framing_note, size_notes
from rethink_fr.inference.restore import described, encoded, named
from rethink_fr.pictures.files import UnreadableImage, read_square
from rethink_fr.pictures.listing import IMAGE_SUFFIXES
from rethink_fr.scale_out import loaded
from rethink_fr.scale_out.inputs import input_name, list_inputs
from rethink_fr.scale_out.launch import Ran, launch
from rethink_fr.scale_out.loaded import Later
from rethink_fr.scale_out.output import OutputFolder, open_output
from rethink_fr.scale_out.work import Item, Work, Write
from rethink_fr.system import Precision

Square = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class AlignedSettings:
    """How single faces are restored."""

    model: str
    precision: Precision = "float32"
    samples: int = 1
    noise_scale: float = 1.0
    seed: int = 0
    fidelity: Optional[float] = None
    texture: bool = False


class OpenFace(NamedTuple):
    """A picture in work."""

    degraded: Square  # [R, R, 3]
    size: Tuple[int, int]  # of its file: width, height
    framing: Later  # what is to be said of it
    images: Dict[str, Square] = {}  # once restored: see `LoadedRestorer.restore_picture`


@dataclass(frozen=True)
class AlignedWork(Work):
    """Restores single faces."""

    settings: AlignedSettings

    def load(self) -> Any:
        """The restorer."""
        return loaded.restorer(self.settings.model, self.settings.precision)

    def open(self, item: Item) -> OpenFace:
        """Read a picture, and begin to look at its framing."""
        if item.task["taken_by"] is not None:
            raise UnreadableImage(item.inputs[0], f"{item.task['taken_by']} is written under its name; rename one")
        degraded, width, height = read_square(Path(item.inputs[0]), self.load().resolution)
        return OpenFace(degraded, (width, height), Later(lambda: _framing(degraded)))

    def infer(self, model: Any, group: Sequence[OpenFace]) -> List[OpenFace]:
        """Restore several faces together; those with texture images one by one."""
        settings = self.settings
        draws = [face_noise(model, one.degraded, settings.seed, settings.samples) for one in group]
        if settings.texture:
            made = [
                model.restore_picture(one.degraded, noise, settings.noise_scale, settings.fidelity)
                for one, noise in zip(group, draws)
            ]
        else:
            squares = [one.degraded for one in group]
            restored = restore_faces(model, squares, draws, settings.noise_scale, settings.fidelity)
            made = [{"restored": one} for one in restored]
        return [one._replace(images=images) for one, images in zip(group, made)]

    def finish(self, item: Item, inferred: OpenFace, write: Write) -> Dict[str, Any]:
        """Write what the picture became."""
        picture = named(Path(item.inputs[0]), Path(item.task["name"]), self.settings.samples, self.settings.texture)
        for name, data in encoded(picture, inferred.degraded, inferred.images):
            write(name, data)
        notes = size_notes(inferred.size, self.load().resolution)
        framing = inferred.framing.result()
        notes += [] if framing is None else [framing]
        said = asdict(described(picture, inferred.size, notes))
        return {**said, "input": item.inputs[0], "outputs": picture.names}

    def probe(self, model: Any) -> None:
        """Restore a grey square."""
        loaded.restore_grey(model)


def _framing(square: Square) -> Optional[str]:
    try:
        detector = loaded.detector(None)
    except ValueError:  # the package is not there: aligned faces are restored without it
        return None
    return framing_note(square, detector)


def restore_aligned(
    inputs: Sequence[Path],
    output: Path,
    settings: AlignedSettings,
    overwrite: bool,
    runner: str,
    options: str = "",
) -> Tuple[Ran, OutputFolder]:
    """Restore single faces by a pipeline. Arguments and errors are those of `photos.restore_photos`."""
    listed = list_inputs(inputs, output, IMAGE_SUFFIXES)
    work = AlignedWork(settings)
    restorer = work.load()
    check_abilities(restorer, settings.model, settings.samples, settings.fidelity, settings.texture)
    folder = open_output(output, {"command": "restore --aligned", **asdict(settings)}, inputs, overwrite)
    head = {"settings": asdict(settings), "resolution": restorer.resolution, "skipped": listed.skipped}
    return launch(_items(listed.files, settings), work, folder, runner, options, head), folder


def _items(files: Iterable[Tuple[Path, Path]], settings: AlignedSettings) -> Iterator[Item]:
    """The items for pictures. Of two that would be written under one name the first has it."""
    owners: Dict[str, str] = {}
    for number, (path, name) in enumerate(files):
        names = named(path, name, settings.samples, settings.texture).names
        taken_by = next((owners[one] for one in names if one in owners), None)
        if taken_by is None:
            owners.update(dict.fromkeys(names, input_name(path)))
        task = {"name": name.as_posix(), "taken_by": taken_by}
        yield Item(number, f"{names[0]} of {name.as_posix()}", (input_name(path),), task)
