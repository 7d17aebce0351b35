"""The native library: where it is found, and what takes its place."""

from __future__ import annotations

from typing import Any, Literal, Optional

Implementation = Literal["auto", "reference", "compiled"]


class NativeOpsError(RuntimeError):
    """There is no native library for this TensorFlow on this machine; the message says why and what to do."""


def native_ops(required: bool = False) -> Optional[Any]:
    """The module of native operators; None if there is none and none is `required`."""
    return None
