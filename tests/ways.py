"""The ways through the house that the README names: which files a command really visits, and who imports whom.

As a program it is a tracer: `python -m tests.ways OUTPUT ASIDE,... COMMAND ...` runs `rethink-fr COMMAND ...` and
writes to the file OUTPUT which files of the package were visited.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Sequence, Set

from tests.command_line import ROOT

PACKAGE = ROOT / "rethink_fr"
# Rooms that everything stands on. To follow a photo or a batch nobody has to open them.
FOUNDATION = ("files/", "config/", "images.py", "types.py", "errors.py", "addons.py", "layers/", "ops/")
FOUNDATION += ("pictures/geometry.py",)


def way_in_readme(thing: str) -> List[str]:
    """The files, relative to the package, that the README lists as the way of one "photo" or one "batch"."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("\n### Two ways through the house\n", 1)[1].split("\n#", 1)[0]
    (paragraph,) = [part for part in section.split("\n\n") if part.strip().startswith(f"One {thing}")]
    return re.findall(r"`([\w/]+\.py)`", paragraph)


def visited(arguments: Sequence[str], aside: Sequence[str], output: Path) -> Set[str]:
    """Run a command in a process of its own, and return the files that it visits outside of `FOUNDATION`.

    Args:
        arguments: what follows `rethink-fr`.
        aside: names of functions of the package that are stories of their own: neither they nor what they call count.
        output: a file that does not exist yet, for the answer of the process.
    """
    command = [sys.executable, "-m", "tests.ways", str(output), ",".join(aside), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {path for path in json.loads(output.read_text()) if not path.startswith(FOUNDATION)}


def assert_goes_one_way(way: Sequence[str]) -> None:
    """Each file but the first is imported by one before it, or by `systems.py`; none imports one before it."""
    imports = {path: imported_files(PACKAGE / path) for path in way}
    handed_over = imported_files(PACKAGE / "systems.py")
    for number, path in enumerate(way):
        before = way[:number]
        back = imports[path].intersection(before)
        assert not back, f"{path} goes back to {', '.join(sorted(back))}"
        reached = number == 0 or path in handed_over or any(path in imports[one] for one in before)
        assert reached, f"{path} is imported by none of {', '.join(before)}"


def imported_files(path: Path) -> Set[str]:
    """The files of the package that a file imports, at any depth of its code, relative to the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: List[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            first, *parts = name.split(".")
            file = PACKAGE.joinpath(*parts).with_suffix(".py")
            if first == "rethink_fr" and parts and file.is_file():
                found.add(file.relative_to(PACKAGE).as_posix())
    return found


class Tracer:
    """Notes which files of the package have functions that are called. What imports do is not followed."""

    def __init__(self, aside: Sequence[str]) -> None:
        self.files: Set[str] = set()
        self._aside = frozenset(aside)
        self._skipped: Dict[int, Any] = {}  # by thread: the frame of the function that is not followed

    def __call__(self, frame: Any, event: str, _: Any) -> None:
        """What `sys.setprofile` wants."""
        thread = threading.get_ident()
        if thread in self._skipped:
            if event == "return" and frame is self._skipped[thread]:
                del self._skipped[thread]
        elif event == "call":
            code = frame.f_code
            if code.co_name == "converted_call":  # tf.data's graphs are traced all the same: the code behind them
                called = frame.f_locals.get("f")
                code = getattr(called, "__code__", None) or getattr(called, "__func__", main).__code__
            ours = code.co_filename.startswith(f"{PACKAGE}/")
            if code.co_name == "<module>" or (ours and code.co_name in self._aside):
                self._skipped[thread] = frame
            elif ours:
                self.files.add(code.co_filename[len(f"{PACKAGE}/") :])


def main() -> int:
    """See the module's docstring."""
    output, aside, *arguments = sys.argv[1:]
    import tensorflow as tf

    from rethink_fr import cli

    tf.config.run_functions_eagerly(True)  # graphs are traced in generated code, which is of no file of the package
    tracer = Tracer(aside.split(","))
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    try:
        return cli.main(arguments)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        Path(output).write_text(json.dumps(sorted(tracer.files)))


if __name__ == "__main__":
    sys.exit(main())
