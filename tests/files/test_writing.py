"""Files appear whole or not at all, and nothing hidden stays behind."""

import json
import os
import subprocess
import sys

import pytest

from rethink_fr.files import writing
from rethink_fr.files.writing import (
    WriteError,
    atomic_file,
    check_writable,
    clear_temporary,
    new_folder,
    write_bytes,
    write_json,
)


def test_a_file_is_written_with_its_folder_and_nothing_else(tmp_path):
    write_bytes(tmp_path / "deep/er/a.bin", b"new")
    assert (tmp_path / "deep/er/a.bin").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "deep/er").iterdir()] == ["a.bin"]


def test_an_exception_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), atomic_file(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_what_is_there_is_kept_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(WriteError, match="--overwrite"):
        write_bytes(path, b"new", replace=False)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_names_of_255_bytes_can_be_written(tmp_path):
    write_bytes(tmp_path / ("n" * 255), b"x")
    with pytest.raises(WriteError, match="shorten"):
        write_bytes(tmp_path / ("n" * 256), b"x")


def test_json_gives_names_that_are_not_unicode_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "a.json", {"name": name})
    text = (tmp_path / "a.json").read_bytes().decode("utf-8")  # valid UTF-8
    assert "\\udce9" in text and os.fsencode(json.loads(text)["name"]) == b"caf\xe9.png"


def test_a_folder_changes_places_with_the_old_one(tmp_path):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(WriteError), new_folder(target) as folder:
        (folder / "a").write_text("2")
    assert (target / "a").read_text() == "1"
    with new_folder(target, replace=True) as folder:
        (folder / "b").write_text("2")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b", "out"]


def test_leftovers_of_dead_processes_are_cleared_and_others_kept(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / f".rfr-{int(dead.stdout)}-01234567.tmp").mkdir()
    mine = writing.temporary_path(tmp_path)
    mine.write_bytes(b"")
    (tmp_path / ".rfr-notes").write_bytes(b"")
    clear_temporary(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, ".rfr-notes"}


def test_whether_a_file_could_be_written_is_found_out_without_a_trace(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / ".rfr-4194305-01234567.tmp").touch()  # of a process that was killed in `check_writable`
    check_writable(tmp_path / "deep/er/a.json")
    check_writable(tmp_path / "file")
    for name, reason in (("file/a.json", "Not a directory"), ("n" * 256, "shorten the name"), ("file/b/c", "--html")):
        with pytest.raises(WriteError, match=reason):
            check_writable(tmp_path / name, "--html")
    assert [path.name for path in tmp_path.rglob("*")] == ["file"] and (tmp_path / "file").read_bytes() == b"x"
