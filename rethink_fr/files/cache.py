"""The folder in which files are kept that this machine built or fetched."""

from __future__ import annotations

import os
from pathlib import Path

from rethink_fr.files.names import printable
from rethink_fr.files.ownership import NotPrivateError, make_private_folder

OTHER_CACHE = "set RETHINK_FR_CACHE to a folder of your own"


class CacheError(ValueError):
    """The user's cache cannot be used. The message is one line that says why and what to do."""


def cache_directory() -> Path:
    """Return the folder of the user's cache, whether it exists or not.

    It is `$RETHINK_FR_CACHE`, else `$XDG_CACHE_HOME/rethink-fr`, else `~/.cache/rethink-fr`.

    Raises:
        CacheError: if `$RETHINK_FR_CACHE` is a relative path, which would be another folder in each working directory.
    """
    chosen = os.environ.get("RETHINK_FR_CACHE")
    if chosen:
        try:
            folder = Path(chosen).expanduser()
        except RuntimeError:  # no such user
            folder = Path(chosen)
        if not folder.is_absolute():
            raise CacheError(f"RETHINK_FR_CACHE is '{printable(chosen)}', expected an absolute path; correct it")
        return folder
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):  # its specification: others are to be ignored
        return Path(shared) / "rethink-fr"
    try:
        return Path.home() / ".cache" / "rethink-fr"
    except RuntimeError:  # a user without a home, as in some containers
        return Path("/.cache/rethink-fr")


def make_cache_folder(folder: Path) -> Path:
    """Make a folder of the user's cache, for this user alone, unless it is there. Returns its path, links resolved.

    Raises:
        CacheError: if it cannot be made, or others may write to it.
    """
    try:
        return make_private_folder(folder)
    except NotPrivateError as error:
        raise CacheError(f"{error}, or {OTHER_CACHE}") from None
    except OSError as error:
        raise CacheError(f"{printable(folder)}: cannot be used ({error.strerror or error}); {OTHER_CACHE}") from None
