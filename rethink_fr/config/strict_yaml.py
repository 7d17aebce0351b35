"""Reads YAML of plain mappings, lists and values, and refuses everything else that YAML can do.

Anchors, aliases and merge keys are refused because ten lines of them can make a gigabyte, tags because they can run
code, deep nesting because it exhausts the stack, and keys that are there twice because YAML would silently take the
last one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Set, Tuple, Union

import yaml

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_text

MAX_YAML_BYTES = 64 << 10  # the reader takes a second for that; our configurations have 2,000
_MAX_DEPTH = 16


class YamlTextError(ValueError):
    """A text that is not YAML of this kind. The message is one line, with the number of the text's line if known."""


def parse_yaml(text: str) -> Any:
    """Return the value of a text, made of mappings, lists, text, numbers, booleans, dates and None.

    An empty text gives None.

    Raises:
        YamlTextError: if the text is something else, or longer than 65,536 characters.

    Example:
        >>> parse_yaml("{seed: 3, flip: 0.5, rate: 2e-3}")  # YAML 1.1 has no numbers without a dot before the e
        {'seed': 3, 'flip': 0.5, 'rate': '2e-3'}
    """
    if len(text) > MAX_YAML_BYTES:
        raise YamlTextError(f"has {len(text):,} characters, expected at most {MAX_YAML_BYTES:,}")
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        raise YamlTextError(_explained(error)) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # ValueError: dates such as 2001-99-99, whole numbers of more than 4,300 digits.
        raise YamlTextError(_short(str(error) or type(error).__name__)) from None


def read_yaml(path: Union[str, Path]) -> Any:
    """Return the value of a YAML file; see `parse_yaml`.

    Raises:
        UnreadableFile: if it cannot be read, is larger than 65,536 bytes, or is not YAML of this kind.
    """
    text = read_text(path, MAX_YAML_BYTES)
    try:
        return parse_yaml(text)
    except YamlTextError as error:
        raise UnreadableFile(path, f"not valid YAML ({error})") from None


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which here looks at each event of the parser before anything is made of it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Optional[yaml.Node], index: Any) -> Optional[yaml.Node]:
        peek_event: Callable[[], Any] = self.peek_event  # PyYAML's stubs leave its type out
        event = peek_event()
        for forbidden, what in (("anchor", "anchors and aliases (&, *)"), ("tag", "tags (!)")):
            if getattr(event, forbidden, None) is not None:
                raise yaml.MarkedYAMLError(problem=f"{what} are not taken here", problem_mark=event.start_mark)
        if self._depth == _MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"more than {_MAX_DEPTH} levels of nesting", problem_mark=event.start_mark
            )
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Dict[Any, Any]:
        seen: Set[Tuple[str, str]] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="merge keys (<<) are not taken here", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {_short(key.value)} is there twice", problem_mark=key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def _whole_number(self, node: yaml.ScalarNode) -> int:
        value = self.construct_yaml_int(node)
        if abs(value) >> 63:  # thousands of digits, which Python would not even print
            raise yaml.MarkedYAMLError(problem="a whole number of more than 64 bits", problem_mark=node.start_mark)
        return value


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader._whole_number)


def _explained(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    problem = _short(error.problem or error.context or "cannot be read")
    return problem if mark is None else f"line {mark.line + 1}: {problem}"


def _short(text: str) -> str:
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= 160 else f"{shown[:157]}..."
