"""Which paths are addresses on an object store, such as `s3://bucket/run`, and how they are written.

Paths are kept as `pathlib.Path` everywhere. That folds the two slashes of an address to one; nothing else of it is
lost, so that `address` gives it back. The price: a local folder called `s3:` is reached by its absolute path only.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import Union

SCHEMES = ("s3", "gs", "az", "hdfs")
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+(?=[^/])")


def is_remote(path: Union[str, PurePath]) -> bool:
    """Whether `path` is an address on an object store."""
    return _ADDRESS.match(os.fspath(path)) is not None


def address(path: Union[str, PurePath]) -> str:
    """`path` as text, with the two slashes that an address has after its scheme.

    Example:
        >>> address(PurePath("s3://bucket/run") / "config.yaml")
        's3://bucket/run/config.yaml'
    """
    return _ADDRESS.sub(r"\1://", os.fspath(path), count=1) if is_remote(path) else os.fspath(path)
