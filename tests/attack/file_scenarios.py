"""What the trials without TensorFlow do; each function runs in a process of its own."""

from __future__ import annotations

from pathlib import Path

from rethink_fr.files.outputs import Outputs
from rethink_fr.files.writing import WriteError, clear_temporary, new_folder, write_bytes, write_json

SIZE = 100_000  # several blocks


def write(path: str, text: str, replace: bool = True) -> int:
    """`text`, repeated, to a file."""
    try:
        write_bytes(path, text.encode() * SIZE, replace)
    except WriteError as error:
        print(error)
        return 1
    return 0


def fill_folder(path: str, text: str, replace: bool = True) -> int:
    """Two files and one in a folder in it."""
    try:
        with new_folder(path, replace) as folder:
            for name in ("a", "b", "deep/c"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(text * SIZE)
    except WriteError as error:
        print(error)
        return 1
    return 0


def report(folder: str, number: int, overwrite: bool) -> int:
    """What a command writes: pictures and their report."""
    try:
        outputs = Outputs([], overwrite)
        for name in ("1.png", "2.png"):
            outputs.write_bytes(Path(folder, name), bytes([number]) * SIZE)
        outputs.write_json(Path(folder, "report.json"), {"number": number})
    except ValueError as error:
        print(error)
        return 1
    return 0


def clear(folder: str) -> None:
    """What every command does before it writes into a folder of its own."""
    clear_temporary(Path(folder))


def careless(path: str, text: str) -> None:
    """How no file may be written: for the test that the tests find it."""
    Path(path).write_text(text * SIZE)


def unsynced(path: str, text: str) -> None:
    """Nor so: renamed, but not synced."""
    temporary = Path(path).with_name("unsynced.tmp")
    temporary.write_text(text * SIZE)
    temporary.replace(path)
    write_json(Path(path).with_name("after"), 1)  # so that something can go wrong after the rename
