"""Makes our docstrings plain Google style for the reference of the documentation. An extension of griffe.

In the source, two arguments of a kind share a line, what a layer is called with stands in the prose, and a comment says
what a field is; griffe knows none of these.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path
from typing import List

import griffe

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_SEVERAL = re.compile(r"^    (\w+(?:, \*{0,2}\w+)+):(.*)$")
_ENTRY = re.compile(r"^    (\w+): +(\S.*)$")
_SECTION = re.compile(r"^(Args|Attributes|Example|Examples|Raises|Returns|Yields):$")


class PlainDocstrings(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs) -> None:
        """Called by griffe for each constant and field: a constant is described by its comment."""
        if attr.docstring is None and attr.parent is not None and attr.parent.is_module:
            described = comment(attr)
            attr.docstring = griffe.Docstring(described, parent=attr) if described else None

    def on_class_members(self, *, cls: griffe.Class, **kwargs) -> None:
        """Called by griffe for each class when its members are known: adds a table of the fields with comments."""
        fields = [member for member in cls.members.values() if isinstance(member, griffe.Attribute)]
        rows = [f"    {field.name}: {comment(field)}" for field in fields if field.annotation and comment(field)]
        if rows and cls.docstring is not None and "Attributes:" not in cls.docstring.value:
            cls.docstring.value += "\n\nAttributes:\n" + "\n".join(rows)


def comment(attribute: griffe.Attribute) -> str:
    """The comment behind the statement, if it has one line, else the one above it; may be empty."""
    if attribute.name.startswith("_") or not attribute.lineno or not isinstance(attribute.filepath, Path):
        return ""
    lines = attribute.lines_collection[attribute.filepath]
    start = attribute.lineno - 1
    _, mark, behind = lines[start].partition("  # ")
    if mark and attribute.endlineno == attribute.lineno:
        return "" if behind.startswith(("noqa", "type:")) else behind
    above: List[str] = []
    while start > 0 and lines[start - 1].lstrip().startswith("# "):
        start -= 1
        above.insert(0, lines[start].lstrip(" #"))
    return " ".join(above)


def plain(docstring: str) -> str:
    """The docstring with one line for each argument, and lists and formulas of the prose set apart from it."""
    lines: List[str] = []
    others: List[str] = []  # arguments on the line of another one, still to come
    section, listing, code, before = "", False, False, ""
    for line, after in zip_longest(docstring.split("\n"), docstring.split("\n")[1:], fillvalue=""):
        if not line.startswith("        "):
            lines += others
            others = []
        if line and not line.startswith("    "):
            found = _SECTION.match(line)
            section = found[1] if found else ""
            listing = not section and line.endswith(":") and bool(_ENTRY.match(after))
            code = section == "Example" and not after.startswith("    >>> ")
            lines += ["", line] if before.startswith("    ") else [line]
            if not section and line.endswith(":") and after.startswith("    "):
                lines.append("")
        elif listing and (entry := _ENTRY.match(line)):
            lines.append(f"* `{entry[1]}`: {entry[2]}")
        elif section in ("Args", "Attributes") and (several := _SEVERAL.match(line)):
            first, *names = several[1].split(", ")
            lines.append(f"    {first}:{several[2]}")
            others = [f"    {name}: see `{first}`." for name in names]
        else:
            lines.append(f"    {line}" if code and line else line)
        before = line
    return _EXAMPLE.sub("Examples:", "\n".join(lines + others))
