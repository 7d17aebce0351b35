"""Which source something was computed with."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from rethink_fr import __version__


@functools.cache
def source_version() -> str:
    """The commit of the checkout that runs, with "+" after it if files in it were changed; else the version.

    Example:
        `3f2a91c0b7d4` in a clean checkout, `version 0.1.0` of an installed package.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    try:
        if os.path.realpath(git("rev-parse", "--show-toplevel")) != str(root):  # site-packages in another project
            return f"version {__version__}"
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return f"version {__version__}"
