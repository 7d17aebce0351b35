"""What a command may write where: one rule for all of them.

1. No output is the same file as an input of the call, by whatever path, link or mount it is reached.
2. Two outputs of one call never share a path.
3. Nothing that this call did not make is written over, unless the user said `--overwrite`.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Dict, Iterable, Optional, Tuple, Union

from rethink_fr.files import writing
from rethink_fr.files.names import printable

_Identity = Tuple[int, int]  # device and inode


class OutputError(ValueError):
    """A path that the rule does not allow to be written; the message says why and what to do."""


class Outputs:
    """The outputs of one call of a command: claims paths by the rule above, and writes to them.

    Args:
        inputs: every file that the call reads. Those that are not there are ignored.
        overwrite: whether files that are there already may be replaced. Inputs never are.

    Example:
        outputs = Outputs([Path("photo.jpg")])
        outputs.write_bytes(Path("out/photo.png"), data)
        outputs.write_json(Path("out/report.json"), report)
    """

    def __init__(self, inputs: Iterable[Union[str, Path]], overwrite: bool = False) -> None:
        self._inputs: Dict[_Identity, Path] = {}
        self._claimed: Dict[str, Path] = {}
        self._made: Dict[_Identity, Path] = {}
        self._overwrite = overwrite
        for path in inputs:
            self.add_input(path)

    def add_input(self, path: Union[str, Path]) -> None:
        """One more file that the call reads."""
        identity = _identity(Path(path))
        if identity is not None:
            self._inputs.setdefault(identity, Path(path))

    def check(self, path: Union[str, Path], option: str = "--output") -> None:
        """Refuse `path` if it may not be written, without claiming it.

        Args:
            path: of the output.
            option: that the user gave it by, for the advice.

        Raises:
            OutputError: naming `path`, the reason and what to do.
        """
        path = Path(path)
        shown, claimed = printable(path), self._claimed.get(_key(path))
        if claimed is not None:
            raise OutputError(f"{shown}: two outputs of this call would have this name; choose different names")
        identity = _identity(path)
        if identity is not None and identity in self._inputs:
            raise OutputError(
                f"{shown}: is the same file as the input {printable(self._inputs[identity])}; choose another {option}"
            )
        if identity is not None and identity in self._made:
            raise OutputError(
                f"{shown}: is the same file as the output {printable(self._made[identity])}; choose different names"
            )
        if os.path.isdir(path) and not os.path.islink(path):
            raise OutputError(f"{shown}: is a folder, expected a file's name; choose another {option}")
        if os.path.lexists(path) and not self._overwrite:
            raise OutputError(f"{shown}: is there already; choose another {option}, or add --overwrite to replace it")

    def claim(self, path: Union[str, Path], option: str = "--output") -> Path:
        """Reserve `path` for one output of this call; returns it.

        Raises:
            OutputError: as `check`.
        """
        path = Path(path)
        self.check(path, option)
        self._claimed[_key(path)] = path
        return path

    def claim_writable(self, path: Union[str, Path], option: str = "--output") -> Path:
        """As `claim`, for an output of long work: also tries now whether the file could be written.

        Raises:
            OutputError: as `check`.
            WriteError: if its folder cannot be made or written to.
        """
        claimed = self.claim(path, option)
        writing.check_writable(claimed, option)
        return claimed

    def write_bytes(self, path: Union[str, Path], data: bytes) -> None:
        """Write an output, claimed before or now.

        Raises:
            OutputError: if it may not be written.
            WriteError: if it cannot be written.
        """
        path = Path(path)
        if _key(path) not in self._claimed:
            self.claim(path)
        writing.write_bytes(path, data, replace=self._overwrite or _identity(path) in self._made)
        identity = _identity(path)
        if identity is not None:
            self._made[identity] = path

    def write_text(self, path: Union[str, Path], text: str) -> None:
        """As `write_bytes`, in UTF-8; names that are not Unicode are written as escapes."""
        self.write_bytes(path, text.encode("utf-8", "backslashreplace"))

    def write_json(self, path: Union[str, Path], value: Any) -> None:
        """As `write_text`, `value` as JSON."""
        self.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


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
