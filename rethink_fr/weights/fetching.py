"""`rethink-fr weights`: lists the published weights, fetches them and checks them."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from rethink_fr.files.cache import make_cache_folder
from rethink_fr.files.checksums import file_sha256
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.files.writing import WriteError, write_text
from rethink_fr.weights.download import DownloadError, download
from rethink_fr.weights.known import KNOWN_WEIGHTS, WeightFile, WeightsFileError, is_sha256, weights_directory


class WeightsReport(NamedTuple):
    """What `fetch_weights` or `verify_weights` did."""

    done: Tuple[str, ...]  # a line for each file that is there and right
    failed: Tuple[Tuple[str, str], ...]  # (file, reason)


def list_weights() -> List[str]:
    """A few lines about each of the known weights: whether they are here, what for, and under which licence."""
    lines = []
    for name, known in KNOWN_WEIGHTS.items():
        size = sum(file.megabytes for file in known.files)
        present = sum(file.path.is_file() for file in known.files)
        state = "present" if present == len(known.files) else "absent" if not present else "incomplete"
        lines.append(f"{name:14} {state:10} {size:6.1f} MB  {known.serves}")
        lines.append(f"{'':14} {known.licence}")
        for file in known.files:
            lines.append(f"{'':14} {file.name}  sha256 {file.expected_sha256 or _NOT_KNOWN}")
    lines.append(f"kept in {weights_directory()}")
    return lines


def fetch_weights(names: Sequence[str], progress: bool = True) -> WeightsReport:
    """Fetch the files that are not there yet, or are not what they should be. Others stay as they are.

    Args:
        names: whose files, in `KNOWN_WEIGHTS`.
        progress: show bars on stderr for what takes longer than two seconds.

    Raises:
        CacheError: if the folder for them cannot be made, or other users may write to it.
        ValueError: if a name is not known, or none is given.
    """
    if not names:
        raise ValueError(f"weights fetch: name what to fetch: {', '.join(KNOWN_WEIGHTS)}")
    files = _files(names)
    make_cache_folder(weights_directory())
    done, failed = [], []
    for name, file in files:
        try:
            done.append(_fetched(name, file, progress))
        except (DownloadError, WriteError, WeightsFileError, UnreadableFile) as error:
            failed.append((file.name, str(error)))
    return WeightsReport(tuple(done), tuple(failed))


def _fetched(name: str, file: WeightFile, progress: bool) -> str:
    what = "fetched"
    if file.path.is_file():
        try:
            return f"{file.path}: there already, {_checked(name, file)}"
        except WeightsFileError:
            what = "was another file, fetched again"
    noted = file.expected_sha256
    found = download(file.url, file.path, noted if is_sha256(noted) else None, progress)
    if file.sha256 is None:
        write_text(file.record, f"{found}\n")
    return f"{file.path}: {what}, {_checked(name, file, found)}"


def verify_weights(names: Sequence[str] = ()) -> WeightsReport:
    """Compute the checksums of the files that are there, and compare them with what they should be.

    Args:
        names: whose files, in `KNOWN_WEIGHTS`; if empty, all that are there. A file of a named network that is absent
            has failed.

    Raises:
        ValueError: if a name is not known.
    """
    done, failed = [], []
    for name, file in _files(names or list(KNOWN_WEIGHTS)):
        if not file.path.is_file():
            if names:
                failed.append((file.name, "is not there; fetch it first"))
            continue
        try:
            done.append(f"{file.path}: {_checked(name, file)}")
        except (WeightsFileError, UnreadableFile) as error:
            failed.append((file.name, str(error)))
    return WeightsReport(tuple(done), tuple(failed))


_NOT_KNOWN = "recorded on first fetch"


def _files(names: Sequence[str]) -> List[Tuple[str, WeightFile]]:
    unknown = [name for name in names if name not in KNOWN_WEIGHTS]
    if unknown:
        raise ValueError(f"{unknown[0]}: no such weights; expected {', '.join(KNOWN_WEIGHTS)}")
    return [(name, file) for name in dict.fromkeys(names) for file in KNOWN_WEIGHTS[name].files]


def _checked(name: str, file: WeightFile, found: Optional[str] = None) -> str:
    """What to say of a file whose checksum is right. It is computed now, unless it is known (`found`)."""
    found = found or file_sha256(file.path, progress=True)
    expected = file.expected_sha256
    if expected is None:
        return f"sha256 {found}, nothing to compare it with"
    if found != expected:
        raise WeightsFileError(
            f"{file.path}: has the SHA-256 {found}, expected {expected}; `rethink-fr weights fetch {name}` replaces it"
        )
    return f"sha256 {found}{'' if file.sha256 else ' as when it was fetched'}"
