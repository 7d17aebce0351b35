"""Decides what a command may write where, by one rule for all commands.

1. No output is the same file as an input of the call, by whatever path, link or mount it is reached.
2. Two outputs of one call never share a path.
3. Nothing that this call did not make is written over, unless the user said `--overwrite`.

`Outputs` applies it to files, `check_folder` to a folder that becomes the output as a whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import IO, Any, Collection, Dict, Iterable, Iterator, Optional, Sequence, Set, Tuple, Union

from rethink_fr.files import stores, writing
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.writing import LongNameError

_Identity = Tuple[int, int]  # device and inode
_LONGEST_NAME = 255  # bytes, in every file system of Linux that matters


class OutputError(ValueError):
    """A path that the rule does not allow to be written. The message names it; `reason` says why and what to do."""

    def __init__(self, path: Union[str, Path], reason: str) -> None:
        super().__init__(f"{printable(path)}: {reason}")
        self.reason = reason


class Outputs:
    """The outputs of one call of a command. Each is claimed, which checks it by the rule above, and written.

    Args:
        inputs: every file that the call reads; those that are not there are ignored.
        overwrite: whether files that are there already may be replaced. Inputs are never replaced.

    Example:
        outputs = Outputs([Path("photo.jpg")])
        outputs.write_bytes(Path("out/photo.png"), data)
        outputs.write_json(Path("out/report.json"), report)
    """

    def __init__(self, inputs: Iterable[Union[str, Path]], overwrite: bool = False) -> None:
        self._inputs: Dict[_Identity, Path] = {}
        self._claimed: Dict[str, str] = {}  # real path -> what it is an output of
        self._folders: Set[str] = set()  # that claimed paths lie in
        self._made: Dict[_Identity, Path] = {}
        self._replaceable: Set[str] = set()
        self._cleared: Set[str] = set()  # folders without what killed processes left in them
        self._overwrite = overwrite
        for path in inputs:
            self.add_input(path)

    def add_input(self, path: Union[str, Path]) -> None:
        """Say that the call reads this file too."""
        identity = _identity(Path(path))
        if identity is not None:
            self._inputs.setdefault(identity, Path(path))

    def allow_replacing(self, path: Union[str, Path]) -> None:
        """Say that an earlier call, which this one continues, made the file at `path`."""
        self._replaceable.add(_key(Path(path)))

    def check(self, path: Union[str, Path], option: str = "--output") -> None:
        """Refuse `path` if it may not be written, without claiming it.

        Args:
            path: of the output.
            option: by which the user named it, for the advice.

        Raises:
            OutputError: naming `path`, the reason and what to do.
            LongNameError: if the name is too long for any file.
        """
        path = Path(path)
        if is_remote(path):
            raise OutputError(
                path,
                f"this command writes to folders of this machine, not to object stores; choose another {option}",
            )
        length = len(os.fsencode(path.name))
        if length > _LONGEST_NAME:
            raise LongNameError(
                path, f"this output's name has {length} bytes, expected at most {_LONGEST_NAME}; shorten the name"
            )
        key = _key(path)
        if key in self._claimed:
            owner = printable(self._claimed[key])
            if not owner:
                raise OutputError(path, "two outputs of this call would have this name; choose different names")
            raise OutputError(path, f"{owner} is written as {printable(path.name)} already; rename one of them")
        if key in self._folders:
            raise OutputError(path, "other outputs of this call are written below a folder of this name; rename one")
        self._check_folders(path, key)
        identity = _identity(path)
        if identity is not None and identity in self._inputs:
            shown = printable(self._inputs[identity])
            raise OutputError(
                path, f"is the same file as the input {shown}, which would be overwritten; choose another {option}"
            )
        if identity is not None and identity in self._made:
            shown = printable(self._made[identity])
            raise OutputError(path, f"is the same file as the output {shown}; choose different names")
        if path.is_dir():  # also through a link: an input may be reached by it
            raise OutputError(path, f"is a folder, expected a file's name; choose another {option}")
        if os.path.lexists(path) and not self._overwrite and key not in self._replaceable:
            raise OutputError(path, f"is there already; choose another {option}, or add --overwrite to replace it")

    def claim(self, path: Union[str, Path], of: Union[str, Path] = "", option: str = "--output") -> Path:
        """Reserve `path` for one output of this call; returns it.

        Args:
            path: of the output.
            of: the input that it is made from, for the message if another output claims the same path.
            option: by which the user named it, for the advice.

        Raises:
            OutputError, LongNameError: as `check`.
        """
        path = Path(path)
        self.check(path, option)
        key = _key(path)
        self._claimed[key] = os.fspath(of)
        self._folders.update(_above(key))
        return path

    def claim_all(self, paths: Sequence[Union[str, Path]], of: Union[str, Path]) -> None:
        """Reserve several outputs of the input `of`: all of them or, if one of them may not be written, none.

        Raises:
            OutputError, LongNameError: as `check`.
        """
        for path in paths:
            self.check(path)
        for path in paths:
            self.claim(path, of)

    def claim_writable(self, path: Union[str, Path], option: str = "--output") -> Path:
        """Claim a file that is written at the end of long work, and try now whether it could be written.

        Raises:
            OutputError: as `check`.
            WriteError: if its folder cannot be made or written to.
        """
        claimed = self.claim(path, option=option)
        writing.check_writable(claimed, option)
        return claimed

    def write_bytes(self, path: Union[str, Path], data: Union[bytes, memoryview]) -> None:
        """Write an output; it is claimed now unless it was claimed before.

        Raises:
            OutputError: if it may not be written.
            WriteError: if it cannot be written.
        """
        with self.opened(path) as file:
            file.write(data)

    @contextlib.contextmanager
    def opened(self, path: Union[str, Path]) -> Iterator[IO[bytes]]:
        """Open an output that is too large for memory. It is there once the block ends without an exception.

        Raises:
            OutputError, WriteError: as `write_bytes`.
        """
        path = Path(path)
        if (key := _key(path)) not in self._claimed:
            self.claim(path)
        if (folder := os.path.realpath(path.parent)) not in self._cleared:
            self._cleared.add(folder)
            with contextlib.suppress(OSError):
                writing.clear_temporary(path.parent)
        replace = self._overwrite or key in self._replaceable or _identity(path) in self._made
        with writing.atomic_file(path, replace) as file:
            yield file
        identity = _identity(path)
        if identity is not None:
            self._made[identity] = path

    def write_text(self, path: Union[str, Path], text: str) -> None:
        """Write text in UTF-8, as `write_bytes`. File names that are not Unicode are written as escapes."""
        self.write_bytes(path, text.encode("utf-8", "backslashreplace"))

    def write_json(self, path: Union[str, Path], value: Any) -> None:
        """Write `value` as JSON, as `write_text`."""
        self.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def _check_folders(self, path: Path, key: str) -> None:
        """Refuse a path below something that is, or will be, a file."""
        for folder in _above(key):
            if folder in self._claimed:
                owner = printable(self._claimed[folder]) or "another output of this call"
                shown = printable(os.path.basename(folder))
                raise OutputError(path, f"{owner} is written as {shown}, which is a folder here; rename one of them")
            with contextlib.suppress(OSError):
                if not stat.S_ISDIR(os.stat(folder).st_mode):
                    raise OutputError(
                        folder, "cannot be written to: is a file, expected a folder; choose another --output"
                    )
                break


def check_folder(
    path: Union[str, Path], inputs: Iterable[Union[str, Path]], overwrite: bool, parts: Collection[str]
) -> None:
    """Refuse a folder that may not become, as a whole, the output of a call (see `writing.new_folder`).

    Args:
        path: of the folder. If it is not there, or is empty, it may be written.
        inputs: files and folders that the call reads.
        overwrite: whether a folder of the same kind may be replaced.
        parts: the names in a folder of this kind. One that holds anything else is not replaced.

    Raises:
        OutputError: naming `path`, the reason and what to do.
    """
    path = Path(path)
    if is_remote(path):
        _check_address(path, inputs, overwrite, parts)
        return
    if path.is_symlink():
        raise OutputError(path, "is a link, expected a new folder; choose another --output")
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(path, "exists already, and is a file; choose another --output")
    held = sorted(os.listdir(path))
    if not held:
        return
    if not overwrite:
        raise OutputError(
            path, "exists already and is not empty; choose another --output, or add --overwrite to replace it"
        )
    real = os.path.realpath(path)
    for given in inputs:
        if real in (os.path.realpath(given), *_above(os.path.realpath(given))):
            raise OutputError(path, f"holds the input {printable(given)}; choose another --output")
    _refuse_foreign(path, held, parts)


def _check_address(path: Path, inputs: Iterable[Union[str, Path]], overwrite: bool, parts: Collection[str]) -> None:
    """As `check_folder`, for an address: writing there is tried, since a store that is away looks empty."""
    held = sorted({name.split("/")[0] for name in stores.listing_before_writing(path)})
    if held and not overwrite:
        raise OutputError(path, "is not empty; choose another --output, or add --overwrite to replace it")
    for given in inputs:
        if f"{address(given)}/".startswith(f"{address(path)}/"):
            raise OutputError(path, f"holds the input {printable(given)}; choose another --output")
    _refuse_foreign(path, held, parts)


def _refuse_foreign(path: Path, held: Sequence[str], parts: Collection[str]) -> None:
    foreign = [name for name in held if name not in parts]
    if foreign:
        raise OutputError(
            path, f"holds {printable(foreign[0])}, which this command does not make; choose another --output"
        )


def _identity(path: Path) -> Optional[_Identity]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # not there, a link to nothing, a name that cannot be
        return None
    # An empty folder, say, is no input that could be written over, but a device or pipe is.
    return None if stat.S_ISDIR(status.st_mode) else (status.st_dev, status.st_ino)


def _key(path: Path) -> str:
    """The path with links in its folders resolved; a link at its end is itself what would be replaced."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _above(path: str) -> Iterable[str]:
    """The folders that an absolute path lies in, the nearest first."""
    while (folder := os.path.dirname(path)) != path:
        yield folder
        path = folder
