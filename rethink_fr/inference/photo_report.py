"""What a call is asked to do with photos, and what became of each: the contents of `report.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from rethink_fr.files import stores
from rethink_fr.files.addresses import is_remote


@dataclass(frozen=True)
class PhotoSettings:
    """How photos are restored. A later call continues an earlier one only if all of this is the same."""

    model: str
    precision: str = "float32"
    samples: int = 1
    noise_scale: float = 1.0
    seed: int = 0
    fidelity: Optional[float] = None  # None: the model's own
    upscale: int = 1
    background_model: Optional[str] = None  # None: Lanczos
    detector: str = "mtcnn"
    detection_threshold: float = 0.9
    min_face: Optional[int] = None  # None: what is seen in a copy of the detector's size
    only_center_face: bool = False
    face_only: bool = False
    suffix: str = ""
    extension: str = "auto"
    keep_grey: bool = True
    blend: float = 1.0
    match_colours: bool = False
    identity_net: Optional[str] = None


@dataclass(frozen=True)
class FaceReport:
    """One face of a photo. Places and sizes in pixels of the photo, upright."""

    box: Tuple[float, float, float, float]  # left, top, right, bottom
    points: Tuple[Tuple[float, float], ...]  # eyes, nose, corners of the mouth, left before right
    score: float  # of the detector
    size: float
    tilt: float  # degrees, clockwise
    outside: float  # which part of its square lies outside of the photo, where the border was repeated
    model_pixels: float  # of the model for one of the photo
    larger_than_model: bool  # whether the photo has detail that the model's resolution cannot hold
    # With samples: the standard deviation in levels, averaged over the face's square.
    spread: Optional[float] = None
    # Of each sample: PSNR in dB of the restoration, degraded again, and what was in the photo; at most 100.
    consistency: Tuple[float, ...] = ()
    # Of each sample, with an identity network: degrees between what was in the photo and the restoration.
    identity_angle: Tuple[float, ...] = ()


@dataclass(frozen=True)
class TrackReport:
    """One face of a clip, as long as it was followed. Places and sizes in pixels of the clip, upright."""

    number: int
    first_frame: int  # counted from 0
    last_frame: int
    start: float  # seconds: time stamps of these frames
    end: float
    searches: int  # how often the detector saw it
    score: float  # of the detector, at best
    box: Tuple[float, float, float, float]  # in its first frame: left, top, right, bottom
    size: float  # the median over its frames, and so is the next
    model_pixels: float  # of the model for one of the clip
    larger_than_model: bool  # whether the clip has detail that the model's resolution cannot hold


@dataclass(frozen=True)
class ClipReport:
    """What is to be said of a clip beside what is said of a photo."""

    frames: int
    seconds: float
    damaged: int  # packets and frames that could not be read
    has_sound: bool
    tracks: Tuple[TrackReport, ...]


@dataclass(frozen=True)
class PhotoReport:
    """What became of one input."""

    input: str
    outputs: Tuple[str, ...] = ()  # relative to the output folder
    size: Optional[Tuple[int, int]] = None  # width, height; upright
    faces: Tuple[FaceReport, ...] = ()
    clip: Optional[ClipReport] = None  # if it is one; then its faces are in `tracks`
    copied: bool = False  # whether the output is the input, byte for byte
    notes: Tuple[str, ...] = ()
    error: Optional[str] = None
    # Of the input's file: by these it is known again.
    bytes: Optional[int] = None
    modified: Optional[int] = None  # nanoseconds

    @property
    def count(self) -> int:
        """How many faces were restored; in a clip, how many tracks."""
        return len(self.faces) if self.clip is None else len(self.clip.tracks)


@dataclass(frozen=True)
class FolderReport:
    """What a call did; also written as `report.json`."""

    settings: PhotoSettings
    resolution: int  # of the model
    inputs: int  # how many there were; there are fewer `files` if the user interrupted
    skipped: Tuple[str, ...]  # files in the given folders that are no pictures by their names
    files: Tuple[PhotoReport, ...]

    @property
    def failed(self) -> Tuple[PhotoReport, ...]:
        """The inputs for which nothing could be written."""
        return tuple(file for file in self.files if file.error)

    def summary(self) -> str:
        """What was done, in one line."""
        done = [file for file in self.files if not file.error]
        clips = sum(file.clip is not None for file in done)
        what = "photos" if not clips else "clips" if clips == len(done) else "photos and clips"
        faces = sum(file.count for file in done)
        parts = [f"{len(done)} of {len(self.files)} {what} done", f"{faces} faces restored"]
        without = sum(not file.count for file in done)
        if without:
            parts.append(f"{without} without a face")
        if self.skipped:
            kinds: Dict[str, int] = {}
            for name in self.skipped:
                kind = _kind(name)
                kinds[kind] = kinds.get(kind, 0) + 1
            listed = sorted(kinds, key=lambda kind: (-kinds[kind], kind))
            shown = ", ".join(f"{kinds[kind]} {kind}" for kind in listed[:3])
            more = f", {len(listed) - 3} more kinds" if len(listed) > 3 else ""
            parts.append(f"{len(self.skipped)} files that are no pictures skipped ({shown}{more})")
        return "; ".join(parts)


def file_stamp(path: Path) -> Optional[Tuple[int, int]]:
    """Bytes of a file, and when it was last changed, in nanoseconds; None if it is not there."""
    if is_remote(path):
        return stores.stamp(path)
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _kind(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else "without suffix"
