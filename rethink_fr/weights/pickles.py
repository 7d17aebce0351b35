"""Tells how large a pickle would become from its instructions, without following them.

A pickle may use a value again and again, so that a hundred bytes stand for a tuple of 2 ** 40 values. That takes no
memory, but computing its hash never ends, and a reader computes it as soon as the tuple is the key of a dictionary.
"""

from __future__ import annotations

import pickletools
from typing import IO, Any, Dict, List, Union

_LARGEST = 10_000_000  # values, each counted as often as it is used; the file of VQFR version 2 has some 15,000
_MARK = pickletools.markobject
_GET, _PUT = ("GET", "BINGET", "LONG_BINGET"), ("PUT", "BINPUT", "LONG_BINPUT")


def check_pickle(source: Union[bytes, IO[bytes]]) -> None:
    """Refuse a pickle of more than 10,000,000 values. A value that is used several times counts as often.

    Args:
        source: the pickle; or an open file at the place where it begins, which is left at the place where it ends.

    Raises:
        ValueError: if it has more, or is damaged.
    """
    stack: List[Any] = []  # for each value its size, or a mark
    memo: Dict[int, int] = {}
    argument: Any
    for code, argument, _ in pickletools.genops(source):
        if code.name in _PUT or code.name == "MEMOIZE":
            memo[len(memo) if code.name == "MEMOIZE" else int(argument)] = _top(stack)
            continue
        size = memo.get(int(argument), 1) if code.name in _GET else 1
        taken = len(code.stack_before)
        if _MARK in code.stack_before:
            while _top(stack) is not _MARK:
                size += stack.pop()
            stack.pop()
            taken = code.stack_before.index(_MARK)
        for _ in range(taken):
            if _top(stack) is _MARK:
                raise ValueError("a damaged pickle")
            size += stack.pop()
        if size > _LARGEST:
            raise ValueError("it would become more values than a published network has")
        stack += [_MARK if after is _MARK else size for after in code.stack_after]


def _top(stack: List[Any]) -> Any:
    if not stack:
        raise ValueError("a damaged pickle")
    return stack[-1]
