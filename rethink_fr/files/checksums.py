"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Union

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, open_regular

MAX_BYTES = 1 << 36  # of a file that is worth waiting for
_CHUNK = 1 << 20


def file_sha256(path: Union[str, Path], progress: bool = False, limit: int = MAX_BYTES) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal.

    Args:
        path: of the file.
        progress: whether to show a bar on stderr if it takes longer than two seconds.
        limit: the largest size that is accepted, in bytes.

    Raises:
        UnreadableFile: if it is not there, is not a regular file, is larger, or cannot be read.
    """
    from tqdm import tqdm  # takes 20 ms, which no reader of a configuration has to wait for

    digest = hashlib.sha256()
    with (
        open_regular(path, limit) as file,
        tqdm(
            desc=f"checking {printable(Path(path).name)}", unit="B", unit_scale=True, delay=2, disable=not progress
        ) as bar,
    ):
        try:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                digest.update(chunk)
                bar.update(len(chunk))
        except OSError as error:
            raise UnreadableFile(path, error.strerror or type(error).__name__) from error
    return digest.hexdigest()
