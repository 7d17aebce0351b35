"""`rethink-fr restore --runner`: whole photos, each as `inference.folder` does it."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Set, Tuple

from rethink_fr.film.clips import CLIP_SUFFIXES, is_clip
from rethink_fr.inference.abilities import check_abilities
from rethink_fr.inference.folder import described, encoded, restore_group
from rethink_fr.inference.photo import OpenPhoto, open_photo
from rethink_fr.inference.photo_plan import PlannedPhoto, named
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.photos import PHOTO_SUFFIXES
from rethink_fr.scale_out import loaded
from rethink_fr.scale_out.inputs import input_name, list_inputs
from rethink_fr.scale_out.launch import Ran, launch
from rethink_fr.scale_out.output import OutputFolder, open_output
from rethink_fr.scale_out.work import Item, Work, Write


@dataclass(frozen=True)
class PhotoWork(Work):
    """Restores the faces of photos."""

    settings: PhotoSettings

    def load(self) -> Any:
        """The restorer."""
        return loaded.restorer(self.settings.model, self.settings.precision)

    def open(self, item: Item) -> OpenPhoto:
        """Read a photo, and find its faces."""
        path = Path(item.inputs[0])
        if is_clip(path):
            raise UnreadableImage(path, "is a clip; restore clips without --runner")
        detector = loaded.detector(None if self.settings.detector == "mtcnn" else self.settings.detector)
        return open_photo(path, detector, self.load().resolution, self.settings)

    def infer(self, model: Any, group: Sequence[OpenPhoto]) -> List[OpenPhoto]:
        """Restore the faces of several photos together."""
        made = [copy.copy(one) for one in group]
        restore_group(model, made, self.settings)
        return made

    def finish(self, item: Item, inferred: OpenPhoto, write: Write) -> Dict[str, Any]:
        """Put the faces back, and write what the photo became."""
        settings, photo = self.settings, planned(item)
        done = described(photo, inferred, settings, self.load().resolution, loaded.embedder(settings.identity_net))
        notes = list(done.notes)
        for file in encoded(done, inferred, settings, loaded.enlarger(settings.background_model, settings.upscale)):
            write(file.name, file.data)
            notes += [note for note in file.lost if note not in notes]
        return {**asdict(replace(done, input=item.inputs[0], notes=tuple(notes))), "error": None}

    def probe(self, model: Any) -> None:
        """Restore a grey square."""
        loaded.restore_grey(model)


def planned(item: Item) -> PlannedPhoto:
    """An item as the local command plans it."""
    return PlannedPhoto(Path(item.inputs[0]), item.task["stem"], item.task["extension"])


def photo_items(files: Iterable[Sequence[Path]], settings: PhotoSettings) -> Iterator[Item]:
    """The items for photos, each with the name that its outputs are called after; see `photo_plan.named`."""
    taken: Set[str] = set()
    for number, (path, name) in enumerate(files):
        photo = named(path, name, settings, taken)
        task = {"stem": photo.stem, "extension": photo.extension}
        yield Item(number, f"{photo.stem}{photo.extension}", (input_name(path),), task)


def restore_photos(
    inputs: Sequence[Path],
    output: Path,
    settings: PhotoSettings,
    overwrite: bool,
    runner: str,
    options: str = "",
) -> Tuple[Ran, OutputFolder]:
    """Restore photos by a pipeline.

    Args:
        inputs: files and folders, also on object stores.
        output: a new folder, or that of an earlier call with the same settings.
        settings: how photos are restored.
        overwrite: whether all is done anew.
        runner, options: see `runners.execute`.

    Raises:
        ValueError: if there is nothing to restore, the folder is of something else, or the restorer lacks an ability.
        RunFailure: if the pipeline fails.
    """
    listed = list_inputs(inputs, output, (*PHOTO_SUFFIXES, *CLIP_SUFFIXES))
    work = PhotoWork(settings)
    restorer = work.load()
    check_abilities(restorer, settings.model, settings.samples, settings.fidelity)
    folder = open_output(output, {"command": "restore", **asdict(settings)}, inputs, overwrite)
    head = {"settings": asdict(settings), "resolution": restorer.resolution, "skipped": listed.skipped}
    return launch(photo_items(listed.files, settings), work, folder, runner, options, head), folder
