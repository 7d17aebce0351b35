"""Opens the network of an ONNX file that may be hostile: its weights inside, its memory limited."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from rethink_fr.errors import install_advice
from rethink_fr.files.names import printable
from rethink_fr.weights.onnx_files import DamagedOnnx, has_external_data

MAX_ONNX_BYTES = 1 << 30  # the largest recognition networks have 250 MB
_MAX_MEMORY = 3 << 29  # bytes for the values of all networks


class OnnxError(ValueError):
    """A file that cannot be used, or onnxruntime is not installed. The message is one line that says why."""


def open_session(name: str, model: bytes) -> Any:
    """Make an `onnxruntime.InferenceSession` on the processor.

    Args:
        name: for errors, such as the file's name.
        model: the file's bytes.

    Raises:
        OnnxError: if the file cannot be used, or onnxruntime is not installed.
    """
    runtime = _runtime(name)
    try:
        external = has_external_data(model)
    except DamagedOnnx as error:
        raise OnnxError(f"{name}: not a usable ONNX file: {error}") from None
    if external:
        raise OnnxError(f"{name}: has weights in other files; save it with all of them inside (onnx.save does)")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what is wrong comes as an exception
    _limit_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise OnnxError(f"{name}: not a usable ONNX file: {failure_reason(error)}") from None


def failure_reason(error: Exception) -> str:
    """The first line of an error of onnxruntime's, without the codes and places before it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0].rpartition(" : ")[2].strip())[:160]


@functools.lru_cache(maxsize=1)
def _limit_memory() -> None:
    """Limit the memory that networks of this process may use: a small file may ask for any amount."""
    import onnxruntime as runtime

    memory = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    # 1: grow by what is needed, not by doubling.
    limits = runtime.OrtArenaCfg({"max_mem": _MAX_MEMORY, "arena_extend_strategy": 1})
    runtime.create_and_register_allocator(memory, limits)


def _runtime(name: str) -> ModuleType:
    try:
        import onnxruntime
    except ImportError:
        raise OnnxError(f"{name}: ONNX files need onnxruntime; {install_advice('onnx')}") from None
    return onnxruntime
