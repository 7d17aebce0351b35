"""Regular files only, within limits; hangs are found by a limit on the time of a subprocess."""

import os
import subprocess
import sys

import pytest

from rethink_fr.files.reading import UnreadableFile, read_bytes, read_csv, read_json, read_text
from tests.command_line import ROOT


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    code = (
        "import sys\n"
        "from rethink_fr.files.reading import UnreadableFile, read_bytes\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_bytes(name, 1 << 40)\n"
        "    except UnreadableFile as error: print(error.reason)\n"
    )
    names = ["pipe.png", "zero.png", "folder.png", "loop.png", "dangling.png", "n" * 300]
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(tmp_path / name) for name in names)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.stdout.splitlines() == [
        "is a named pipe, expected a regular file",
        "is a device, expected a regular file",
        "is a folder, expected a regular file",
        "Too many levels of symbolic links",
        "No such file or directory",
        "File name too long",
    ]


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(UnreadableFile, match="214,748,364,800 bytes, expected at most 1,000"):
        read_bytes(tmp_path / "sparse.png", 1000)
    (tmp_path / "small").write_bytes(b"x" * 1000)
    assert len(read_bytes(tmp_path / "small", 1000)) == 1000


def test_text_that_is_not_utf_8_and_names_with_newlines_are_told_on_one_line(tmp_path):
    path = tmp_path / "a\nb.txt"
    path.write_bytes(b"\xef\xbb\xbfok")
    assert read_text(path, 100) == "ok"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(UnreadableFile, match=r"byte 3") as caught:
        read_text(path, 100)
    assert "\n" not in str(caught.value)


def test_json_that_is_none_or_nested_without_end_is_refused(tmp_path):
    for text in ("{", "[" * 100_000):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UnreadableFile, match="expected a key"):
            read_json(tmp_path / "a.json", "a key")


def test_csv_is_read_in_rows_and_refused_beyond_its_limits(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfname,x\n"a\nb",1\n')
    assert list(read_csv(path)) == [["name", "x"], ["a\nb", "1"]]
    for data, message in (
        (b"a,b\n" + b"x" * 70_000, "a cell of more than 65,536|larger than field limit"),
        (b"x" * 2_000_000, "line 1 has more than"),
        (b"caf\xe9\n", "line 1 is not UTF-8"),
        (b'"a"b\n', "line 1 is no CSV"),
    ):
        path.write_bytes(data)
        with pytest.raises(UnreadableFile, match=message):
            list(read_csv(path))
    with pytest.raises(UnreadableFile, match="expected at most 3"):
        list(read_csv(path, limit=3))
