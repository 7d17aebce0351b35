"""Finds out whether anyone else could have made or changed a file, which matters for what is executed.

A path is private if it and every folder above it, up to the root, belongs to this user or to root, and nobody else may
write to it. Two ways in which many systems let others write are accepted, since they change nothing: a folder such as
/tmp, in which everybody may make names but nobody may replace another's (the "sticky" bit), above a private one; and
the write bit of a group that is this user's own, has the user's name, and no other members.

Checked from the root downwards: once a folder is known to be private, no other user can put anything else at the names
in it. So what was checked is what is loaded, and stays so.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import shlex
import stat
from pathlib import Path
from typing import Union

from rethink_fr.files.names import printable


class NotPrivateError(ValueError):
    """Something that others could have changed. The message is one line that names it and says what to do."""


def require_private(path: Union[str, Path]) -> Path:
    """Check that nobody but this user and root can change what is at `path`; returns it with links resolved.

    Args:
        path: of a regular file or a folder.

    Raises:
        NotPrivateError: naming the file or folder that others could have changed.
        OSError: if it is not there or cannot be looked at.
    """
    resolved = Path(os.path.realpath(path))
    for above in reversed(resolved.parents):
        _check(above, os.lstat(above), sticky=True)
    _check(resolved, os.lstat(resolved), sticky=False)
    return resolved


def make_private_folder(path: Union[str, Path]) -> Path:
    """Make a folder, and those above it that are missing, for this user alone (mode 0700), unless it is there.

    Returns:
        Its path, symbolic links resolved.

    Raises:
        NotPrivateError: if others could change what is in it; nothing is done about it.
        OSError: if it cannot be made, or is a file.
    """
    path = Path(path).absolute()
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
    return require_private(path)


def _check(path: Path, status: os.stat_result, sticky: bool) -> None:
    shown, mode = printable(path), status.st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise NotPrivateError(f"{shown}: is no regular file and no folder; remove it")
    if status.st_uid not in (0, os.geteuid()):
        raise NotPrivateError(f"{shown}: belongs to user {status.st_uid}, not to you or root, so it is not trusted")
    others = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_own_group(status.st_gid))
    if others and not (sticky and stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        advice = f"run: chmod go-w {shlex.quote(shown)}"
        if mode & stat.S_ISVTX:  # meant for everybody, as /tmp
            advice = "make a folder of your own in it"
        raise NotPrivateError(f"{shown}: other users may write to it, so it is not trusted; {advice}")


@functools.lru_cache(maxsize=16)
def _is_own_group(group: int) -> bool:
    """Whether this is the group that some systems give each user, with nobody else in it."""
    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}
