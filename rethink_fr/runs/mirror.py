"""A run whose folder is an address on an object store: trained in a folder of this machine, which is mirrored there.

The store holds the truth. What is known of a run before it goes on is taken from there; the local folder, in the
user's cache, is used as it is only if it is what was mirrored last. At each checkpoint the files that changed are
written to the store, in an order in which whatever is there makes a run that can be continued. Stores have no locks:
`mirror.json` names the process that took the run over last, and another one stops when it sees that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from tqdm import tqdm

from rethink_fr.errors import RunFailure
from rethink_fr.files import stores
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.cache import cache_directory, make_cache_folder
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_bytes
from rethink_fr.files.writing import write_bytes
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, run_lock

_CLAIM = "mirror.json"
_MAX_CLAIM = 1 << 16
# What one process leaves for itself in a run's folder.
_LOCAL = re.compile(r"run\.lock|(.*/)?\.rfr-[^/]*|checkpoints/writing(/.*)?")
# The parts of a run that nobody needs who restores or exports with it, or starts from it.
_HISTORY = re.compile(r"(logs|samples|checkpoints/damaged|checkpoints/aside)/.*")
# Names that no folder of a run or of a SavedModel has: the store need not be asked what they are.
_FILE = re.compile(r"step[-_]\d+\..*|.*\.(yaml|json|jsonl|png|txt|pb|index)|.*tfevents.*|checkpoint|variables\.data-.*")
_ORDER = (re.compile(r"config\.yaml|pictures\.json"), re.compile(r".*\.data-[^/]*"), re.compile(r".*\.index"))


class RunFolder:
    """Where a run is trained. For a run of this machine: its folder itself, and nothing to do.

    Attributes:
        path: of the folder in which `train` works.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self) -> None:
        """Take the run over, before anything of it is changed."""

    def save(self) -> None:
        """Have what is in the folder now where the user wants it. Called after each checkpoint."""

    def close(self) -> None:
        """As `save`, at the end of the process's work, when a failure cannot be made good later."""


class _Mirrored(RunFolder):
    """A local folder and the address that it is mirrored to."""

    def __init__(self, output: Path, path: Path) -> None:
        super().__init__(path)
        self._output = output
        self._there: Dict[str, Optional[Tuple[int, int]]] = {}  # size and time of the local file that was mirrored
        self._ours = b""
        self._found = self._read_claim()

    def fetch(self) -> None:
        """Make the local folder what the store has, unless it is what was mirrored last."""
        try:
            local: Optional[bytes] = read_bytes(self.path / _CLAIM, _MAX_CLAIM)
        except UnreadableFile:
            local = None
        names = _names_on(self._output)
        if not names:
            names = stores.listing_before_writing(self._output)
        if names and self._found is not None and self._found == local:
            self._there = dict.fromkeys(names)
            return
        for entry in list(self.path.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "run.lock":
                entry.unlink()
        _fetch(self._output, names, self.path)
        self._there = {name: _state(self.path / name) for name in names}

    def claim(self) -> None:
        self._require(self._found)
        who = {"id": secrets.token_hex(8), "process": os.getpid(), "host": socket.gethostname()}
        self._ours = (json.dumps(who) + "\n").encode()
        write_bytes(self.path / _CLAIM, self._ours)
        stores.write_object(self._output / _CLAIM, self._ours)

    def save(self) -> None:
        try:
            self.close()
        except OSError as error:
            tqdm.write(
                f"rethink-fr: {printable(self._output)}: cannot be written now ({error.strerror}); tried again at the "
                f"next checkpoint, which is in {printable(self.path)} meanwhile",
                file=sys.stderr,
            )

    def close(self) -> None:
        if not self._ours:
            return
        self._require(self._ours)
        local = {name: _state(self.path / name) for name in _names(self.path)}
        for name in sorted(local, key=_place_in_order):
            if self._there.get(name) != local[name] and name != _CLAIM:
                stores.write_object(self._output / name, self.path / name)
                self._there[name] = local[name]
        # Only checkpoints go: rotated ones, whose record and index are removed before the data.
        gone = [name for name in self._there if name.startswith(f"{CHECKPOINTS}/") and name not in local]
        for name in sorted(gone, key=_place_in_order, reverse=True):
            stores.remove(self._output / name)
            del self._there[name]

    def _require(self, expected: Optional[bytes]) -> None:
        """Refuse to go on if another process has claimed the run since `expected` was there."""
        claim = self._read_claim()
        if claim is None and expected is not None:
            raise FileNotFoundError(errno.ENOENT, "mirror.json is not there, or its store cannot be reached")
        if claim != expected:
            holder = "unknown"
            with contextlib.suppress(ValueError, LookupError, TypeError):
                who = json.loads(claim or b"")
                holder = printable(f"process {who['process']} on {who['host']}")
            raise RunFailure(
                f"{printable(self._output)}: another process has taken this run over ({holder}); this one stops and "
                f"writes nothing more there, what it has done is in {printable(self.path)}"
            )

    def _read_claim(self) -> Optional[bytes]:
        try:
            with stores.open_object(self._output / _CLAIM) as file:
                return file.read(_MAX_CLAIM)
        except FileNotFoundError:
            return None


@contextlib.contextmanager
def open_run_folder(output: Path, chief: bool) -> Iterator[RunFolder]:
    """The folder in which a run with this `--output` is trained; locked, if it is in the user's cache.

    Args:
        output: a folder, or an address on an object store.
        chief: whether this process writes the run. Others get a copy of what is there, which goes at the end.

    Raises:
        LockedError: if another process of this machine trains there.
        OSError: if the store cannot be read.
        RunFailure: if another process took the run over, or what was done cannot be written to the store.
    """
    if not is_remote(output):
        yield RunFolder(output)
    elif not chief:
        with tempfile.TemporaryDirectory(prefix="rethink-fr-worker-") as folder:
            _fetch(output, _names_on(output), Path(folder))
            yield RunFolder(Path(folder))
    else:
        path = staging_folder(output)
        with run_lock(path):
            run = _Mirrored(output, path)
            run.fetch()
            try:
                yield run
            finally:
                try:
                    run.close()
                except OSError as error:
                    raise RunFailure(
                        f"{printable(output)}: cannot be written ({error.strerror}); what was done is in "
                        f"{printable(path)}: run the same command again on this machine to continue"
                    ) from error


def staging_folder(output: Path) -> Path:
    """The folder of this machine in which a run with this address is trained."""
    text = address(output)
    readable = re.sub(r"\W+", "-", text)[-60:].strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return make_cache_folder(cache_directory() / "runs" / f"{readable}-{digest}")


@contextlib.contextmanager
def local_model(path: Path) -> Iterator[Path]:
    """A model's folder on this machine: `path` itself, or a copy of what is needed of an address, for the block.

    Raises:
        OSError: if it cannot be read.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="rethink-fr-model-") as folder:
        _fetch(path, [name for name in _names_on(path) if not _HISTORY.fullmatch(name)], Path(folder))
        yield Path(folder)


def _fetch(output: Path, names: List[str], folder: Path) -> None:
    bar = tqdm(names, desc=f"fetching {printable(output.name)}", unit="file", delay=2)
    for name in bar:
        stores.fetch(output, [name], folder)


def _names_on(output: Path) -> List[str]:
    return list(stores.names_below(output, lambda name: _FILE.fullmatch(name) is not None))


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not _LOCAL.fullmatch(name):
            yield name


def _state(path: Path) -> Tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _place_in_order(name: str) -> Tuple[int, bool, str]:
    """The configuration first; of checkpoints data, index, record; then what is written on and on."""
    kinds = [kind.fullmatch(name) is not None for kind in _ORDER]
    checkpoint = name.startswith(f"{CHECKPOINTS}/step-")
    return kinds.index(True) if any(kinds) else len(kinds) + (not checkpoint), name != CONFIG, name
