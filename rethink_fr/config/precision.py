"""In which precision it pays to multiply. The one place where the processor is asked; does not import TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

_CPU = Path("/proc/cpuinfo")
_BFLOAT16 = re.compile(r"\b(avx512_bf16|amx_bf16)\b")  # products of bfloat16 in hardware


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 (AVX512_BF16 or AMX). Without them it is emulated."""
    try:
        return bool(_BFLOAT16.search(_CPU.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False


def why_float32(precision: str, forced: bool, gpu: bool) -> str:
    """Why a computation in this precision is done in float32 instead, in a few words; "" if it is not.

    Args:
        precision: that is asked for: "float32", "tf32", "bfloat16" or "float16".
        forced: whether it is wanted although it is slower.
        gpu: whether a GPU computes; the processor does not matter then.
    """
    if precision in ("float32", "tf32") or forced or gpu or (precision == "bfloat16" and multiplies_bfloat16()):
        return ""  # without a GPU tf32 is float32
    return f"this processor has no instructions for {precision}, which would be slower: computing in float32"
