"""Where files are kept that this machine built or fetched. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """The user's cache; the folder need not exist.

    `$RETHINK_FR_CACHE`, else `$XDG_CACHE_HOME/rethink-fr`, else `~/.cache/rethink-fr`.
    """
    chosen = os.environ.get("RETHINK_FR_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):  # its specification: others are to be ignored
        return Path(shared) / "rethink-fr"
    try:
        return Path.home() / ".cache" / "rethink-fr"
    except RuntimeError:  # a user without a home, as in some containers
        return Path("/.cache/rethink-fr")
