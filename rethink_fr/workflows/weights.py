"""`rethink-fr weights`: which published weights there are, fetching them, checking them."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from rethink_fr.known_weights import KNOWN_WEIGHTS, WeightFile, weights_directory
from rethink_fr.workflows.download import DownloadError, download, file_sha256


class WeightsReport(NamedTuple):
    """What `fetch_weights` or `verify_weights` did."""

    done: Tuple[str, ...]  # a line for each file that is there and right
    failed: Tuple[Tuple[str, str], ...]  # (file, reason)


def list_weights() -> List[str]:
    """A few lines on each of the known weights, and where they are kept."""
    lines = []
    for name, known in KNOWN_WEIGHTS.items():
        size = sum(file.megabytes for file in known.files)
        present = sum(file.path.is_file() for file in known.files)
        state = "present" if present == len(known.files) else "absent" if not present else "incomplete"
        lines.append(f"{name:14} {state:10} {size:6.1f} MB  {known.serves}")
        lines.append(f"{'':14} {known.licence}")
        for file in known.files:
            lines.append(f"{'':14} {file.name}  sha256 {file.sha256 or recorded_sha256(file) or _NOT_KNOWN}")
    lines.append(f"kept in {weights_directory()}")
    return lines


def fetch_weights(names: Sequence[str], progress: bool = True) -> WeightsReport:
    """Fetch what is not there yet; files that are there are checked instead.

    Raises:
        ValueError: if a name is not known, or none is given.
    """
    if not names:
        raise ValueError(f"weights fetch: name what to fetch: {', '.join(KNOWN_WEIGHTS)}")
    done, failed = [], []
    for file in _files(names):
        try:
            if file.path.is_file():
                done.append(f"{file.path}: there already, {_checked(file)}")
            else:
                found = download(file.url, file.path, file.sha256, progress)
                if file.sha256 is None:
                    _record(file).write_text(f"{found}\n", encoding="ascii")
                done.append(f"{file.path}: fetched, {_checked(file, found)}")
        except DownloadError as error:
            failed.append((file.name, str(error)))
    return WeightsReport(tuple(done), tuple(failed))


def verify_weights(names: Sequence[str] = ()) -> WeightsReport:
    """Compute the checksums of the files that are there again.

    Args:
        names: whose; all that are there if none. A named one that is absent has failed.

    Raises:
        ValueError: if a name is not known.
    """
    done, failed = [], []
    for file in _files(names or list(KNOWN_WEIGHTS)):
        if not file.path.is_file():
            if names:
                failed.append((file.name, "is not there; fetch it first"))
            continue
        try:
            done.append(f"{file.path}: {_checked(file)}")
        except DownloadError as error:
            failed.append((file.name, str(error)))
    return WeightsReport(tuple(done), tuple(failed))


def recorded_sha256(file: WeightFile) -> Optional[str]:
    """The checksum noted when a file came whose checksum is not in the table; None before that."""
    try:
        return _record(file).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


_NOT_KNOWN = "recorded on first fetch"


def _files(names: Sequence[str]) -> List[WeightFile]:
    unknown = [name for name in names if name not in KNOWN_WEIGHTS]
    if unknown:
        raise ValueError(f"{unknown[0]}: no such weights; expected {', '.join(KNOWN_WEIGHTS)}")
    return [file for name in dict.fromkeys(names) for file in KNOWN_WEIGHTS[name].files]


def _checked(file: WeightFile, found: Optional[str] = None) -> str:
    found = found or file_sha256(file.path)
    expected = file.sha256 or recorded_sha256(file)
    if expected is None:
        return f"sha256 {found}, nothing to compare it with"
    if found != expected:
        raise DownloadError(f"{file.path}: has the SHA-256 {found}, expected {expected}; remove it and fetch it again")
    return f"sha256 {found}{'' if file.sha256 else ' as when it was fetched'}"


def _record(file: WeightFile) -> Path:
    return file.path.with_name(f"{file.name}.sha256")
