"""What the page does with photos, without the page: takes them in, restores them, keeps results apart and for a while.

Every visitor has a folder of their own with a name that nobody can guess. What is older than an hour is removed, or ten
minutes after the visitor left; everything is when the server ends.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterator, Optional

from rethink_fr.app.results import Shown, display_copy, write_results
from rethink_fr.faces.face import Detector
from rethink_fr.files.names import printable
from rethink_fr.inference.folder import restore_group
from rethink_fr.inference.photo import open_photo
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.photos import UnwritableImage, read_photo

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

MAX_BYTES = 64 << 20  # of an uploaded file
MAX_SAMPLES = 8
_KEPT, _KEPT_AFTER = 3600.0, 600.0  # seconds after the last use; after the visitor left
_MOST_KEPT = 4 << 30  # bytes of all visitors together
_LONGEST_NAME = 80


class PlainError(Exception):
    """What a visitor is told: one sentence that says what happened and what to do."""


@dataclass(frozen=True)
class Asked:
    """What a visitor chose."""

    samples: int = 1
    noise_scale: float = 1.0
    fidelity: Optional[float] = None
    seed: int = 0


@dataclass
class _Visitor:
    folder: Path
    photo: Optional[Path] = None
    used: float = 0.0


class Desk:
    """Restores photos for several visitors, one photo after the other.

    Args:
        restorer: see `load_restorer`.
        detector: see `open_detector`.
        model: the restorer's name.
        folder: of this desk alone; has folders `uploads` and `results`.
    """

    def __init__(self, restorer: LoadedRestorer, detector: Detector, model: str, folder: Path) -> None:
        self.restorer, self.model = restorer, model
        self._detector = detector
        self.uploads, self.results = folder / "uploads", folder / "results"
        for made in (self.uploads, self.results):
            made.mkdir(mode=0o700)
        self._visitors: Dict[str, _Visitor] = {}
        self._lock = threading.Lock()  # of the table of visitors
        self._working = threading.Lock()  # TensorFlow has the processor's cores, and a photo much of its memory

    def take(self, visitor: str, upload: Path) -> Shown:
        """Keep a copy of a photo that was uploaded, and show it.

        Raises:
            PlainError: if it cannot be read, is too large, or there is no room.
        """
        if upload.stat().st_size > MAX_BYTES:
            raise PlainError(f"This file is larger than {MAX_BYTES >> 20} MB. Choose a smaller one.")
        if self.full():
            raise PlainError("There is no room for another photo just now. Try again in some minutes.")
        folder = self._fresh(visitor)
        photo = folder / f"photo{upload.suffix.lower()[:8]}"
        shutil.copyfile(upload, photo)
        name = _clean(upload.name)
        with _in_plain_words(name):
            read = read_photo(photo)
            shown = Shown(name, read.image.size, display_copy(read.image, read.metadata, folder / "before.jpg"))
        with self._lock:
            self._visitors[visitor].photo = photo.rename(folder / name)
        return shown

    def restore(self, visitor: str, asked: Asked, tell: Callable[[float, str], object]) -> Shown:
        """Restore the photo of a visitor.

        Args:
            visitor: who asks.
            asked: what they chose.
            tell: called with the part that is done, 0 to 1, and what comes next.

        Raises:
            PlainError: if there is no photo, what was chosen makes no sense, or the photo cannot be restored.
        """
        with self._lock:
            known = self._visitors.get(visitor)
            if known is None or known.photo is None or not known.photo.exists():
                raise PlainError("Choose a photo first. (Photos are kept for an hour.)")
            known.used = time.monotonic()
            path, folder = known.photo, known.folder
        settings = self._settings(asked)
        with self._working, _in_plain_words(path.name):
            tell(0.1, "Finding faces")
            opened = open_photo(path, self._detector, self.restorer.resolution, settings)
            count = len(opened.faces)
            tell(0.3, f"Restoring {count} face{'' if count == 1 else 's'}")
            if count:
                restore_group(self.restorer, [opened], settings)
            tell(0.8, "Putting them back")
            made = folder / secrets.token_urlsafe(12)
            made.mkdir(mode=0o700)
            shown = write_results(opened, settings, self.restorer.resolution, folder / "before.jpg", made)
            for earlier in folder.iterdir():
                if earlier.is_dir() and earlier != made:
                    shutil.rmtree(earlier, ignore_errors=True)
            return shown

    def leave(self, visitor: str) -> None:
        """Note that a visitor closed the page. They may come back: phones close pages that they put aside."""
        with self._lock:
            known = self._visitors.get(visitor)
            if known is not None:
                known.used = min(known.used, time.monotonic() - _KEPT + _KEPT_AFTER)

    def tidy(self) -> None:
        """Remove what nobody needs any more."""
        now = time.monotonic()
        with self._lock:
            gone = [name for name, known in self._visitors.items() if now - known.used > _KEPT]
            folders = [self._visitors.pop(name).folder for name in gone]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        for upload in self.uploads.iterdir():
            if time.time() - upload.stat().st_mtime > _KEPT_AFTER:
                shutil.rmtree(upload, ignore_errors=True) if upload.is_dir() else upload.unlink(missing_ok=True)

    def full(self) -> bool:
        """Whether there is no room for another photo."""
        held = 0
        for folder in (self.uploads, self.results):
            for path in folder.rglob("*"):
                try:
                    held += path.stat().st_size
                except OSError:  # removed meanwhile
                    continue
        return held > _MOST_KEPT

    def _fresh(self, visitor: str) -> Path:
        """A new folder for a visitor; what they had before is removed."""
        folder = self.results / secrets.token_urlsafe(24)
        folder.mkdir(mode=0o700)
        with self._lock:
            before = self._visitors.get(visitor)
            self._visitors[visitor] = _Visitor(folder, used=time.monotonic())
        if before is not None:
            shutil.rmtree(before.folder, ignore_errors=True)
        return folder

    def _settings(self, asked: Asked) -> PhotoSettings:
        if not 1 <= asked.samples <= MAX_SAMPLES:
            raise PlainError(f"Choose 1 to {MAX_SAMPLES} samples.")
        if not all(0.0 <= value <= 1.0 for value in (asked.noise_scale, asked.fidelity) if value is not None):
            raise PlainError("Noise and fidelity go from 0 to 1.")
        if not 0 <= asked.seed < 1 << 31:
            raise PlainError("The seed is a whole number from 0 to 2147483647.")
        noisy = self.restorer.noise_shape is not None
        return PhotoSettings(
            model=self.model,
            samples=asked.samples if noisy else 1,
            noise_scale=asked.noise_scale,
            seed=asked.seed,
            fidelity=asked.fidelity if self.restorer.takes_fidelity else None,
        )


@contextlib.contextmanager
def _in_plain_words(name: str) -> Iterator[None]:
    """Turn what goes wrong with a photo within the block into `PlainError`."""
    try:
        yield
    except (UnreadableImage, UnwritableImage) as error:
        raise PlainError(f"{name} cannot be used: {error.reason}.") from error
    except MemoryError as error:
        raise PlainError(f"{name} takes more memory than there is. Scale it down.") from error
    except FileNotFoundError as error:
        raise PlainError("Another photo was chosen meanwhile. Restore again.") from error


def _clean(name: str) -> str:
    """The name of an upload as one that is safe as a file's, and no longer than needed."""
    stem, dot, suffix = printable(Path(name).name).rpartition(".")
    stem = re.sub(r"[^\w .()+-]", "_", stem if dot else suffix).strip(" .")[:_LONGEST_NAME] or "photo"
    suffix = re.sub(r"\W", "", suffix)[:8] if dot else ""
    return f"{stem}.{suffix}" if suffix else stem
