"""Names and places of library files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from rethink_fr.files.cache import CacheError, cache_directory
from rethink_fr.ops.compiler import Compiler, find_compiler
from rethink_fr.ops.library import build_lock, cached_name, carried_name, libraries, remove_damaged, workspace


def test_a_name_tells_sources_compiler_and_tensorflow_apart(stand_in, monkeypatch):
    compiler = find_compiler()
    name = cached_name(stand_in.sources, compiler)
    assert name.startswith(f"native-tf{tf.__version__}-")
    assert name.startswith(cached_name(stand_in.sources, None))
    assert cached_name(stand_in.sources, Compiler(compiler.command, "g++ 99")) != name
    with monkeypatch.context() as patched:
        patched.setattr(tf, "__version__", "2.14.0")
        assert cached_name(stand_in.sources, compiler) != name
    (stand_in.sources / "answer.h").write_text("#define ANSWER 43\n", encoding="utf-8")
    assert cached_name(stand_in.sources, compiler) != name


def test_a_name_does_not_depend_on_the_place_of_the_sources(stand_in, tmp_path):
    copied = shutil.copytree(stand_in.sources, tmp_path / "elsewhere")
    (copied / ".editor").write_text("hidden files are no sources", encoding="utf-8")
    assert carried_name(copied) == carried_name(stand_in.sources)


def test_any_change_of_a_file_is_told_by_its_checksum(stand_in, tmp_path):
    path = stand_in.build(tmp_path / "cache")
    name = cached_name(stand_in.sources, find_compiler())
    assert libraries(path.parent, name) == ([path], [])
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert libraries(path.parent, name) == ([], [])
    path.write_bytes(data[:4000] + bytes([data[4000] ^ 1]) + data[4001:])
    assert libraries(path.parent, name) == ([], [])
    assert remove_damaged(path.parent, name) == [path]
    assert not path.exists()


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"RETHINK_FR_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/rethink-fr"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/rethink-fr"),
        ({}, "/home/someone/.cache/rethink-fr"),
    ],
)
def test_the_cache_is_where_the_environment_says(environment, expected, monkeypatch):
    for name in ("RETHINK_FR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/someone", **environment}.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)


@pytest.mark.parametrize("chosen", ["cache", "./cache", "~nobody-of-this-name/cache"])
def test_a_cache_that_depends_on_the_working_directory_is_refused(chosen, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", chosen)
    with pytest.raises(CacheError, match=f"RETHINK_FR_CACHE is '{chosen}', expected an absolute path"):
        cache_directory()


def test_what_killed_builds_left_is_cleared_under_the_lock(tmp_path):
    (tmp_path / "building-dead").mkdir()
    (tmp_path / "building-dead/library.so").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "building-link").symlink_to(tmp_path / "elsewhere")
    with build_lock(tmp_path), workspace(tmp_path) as work:
        assert not (tmp_path / "building-dead").exists() and (tmp_path / "elsewhere").exists()
        code = (
            "import fcntl, sys\n"
            "try: fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "except BlockingIOError: sys.exit(3)"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "build.lock")]).returncode == 3
        assert work.is_dir() and work.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "build.lock").stat().st_mode & 0o777 == 0o600
