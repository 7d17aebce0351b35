"""The native library: each way to find it ends in an operator that works, every other case in one clear message."""

import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tensorflow as tf

from rethink_fr.ops.native import NativeLibrary, NativeOpsError
from rethink_fr.ops.native.building import build_lock
from rethink_fr.ops.native.compiler import UNIT, find_compiler
from rethink_fr.ops.native.files import cached_name, carried_name
from tests.command_line import ROOT
from tests.forked import ForkedPython


def test_the_first_use_builds_with_one_line_and_later_ones_find(library, stand_in, installation, cache, capfd):
    loaded = library.load()
    assert stand_in.works(loaded)
    assert (loaded.origin, loaded.path.parent, loaded.instruction_set()) == ("built on this machine", cache, "baseline")
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "building the native operators with" in said and "once for this machine" in said
    assert library.load() is loaded
    assert NativeLibrary(stand_in.sources, installation, cache).load().path == loaded.path
    assert capfd.readouterr().err == ""


def test_threads_that_ask_at_once_share_one_build(library, stand_in, capfd):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: library.load(), range(8)))
    assert all(loaded is answers[0] for loaded in answers) and stand_in.works(answers[0])
    assert capfd.readouterr().err.count("building") == 1


def test_a_build_that_does_not_end_holds_nobody_up_for_ever(library, stand_in, cache, monkeypatch, capfd):
    """Here it is this process that holds the lock, through another open file."""
    monkeypatch.setattr("rethink_fr.files.locks._FIRST_WORD", 0.1)
    cache.mkdir(mode=0o700)
    monkeypatch.setattr("rethink_fr.ops.native.finding.build_lock", lambda folder: build_lock(folder, patience=0.5))
    with build_lock(cache):
        loaded = library.load()
        with pytest.raises(NativeOpsError, match="has been building the native operators for"):
            NativeLibrary(stand_in.sources, library.carried, cache).build()
    assert stand_in.works(loaded) and loaded.origin == "built for this process only"
    said = capfd.readouterr().err.splitlines()
    name = f"process {os.getpid()} on "
    assert said[0].startswith(f"rethink-fr: waiting for {name}") and "has been building the native operators" in said[0]
    assert "for this process only" in said[1] and name in said[1] and "wait for it, or end it" in said[1]


def test_processes_that_start_at_once_share_one_build(stand_in, installation, cache, tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "from rethink_fr.ops.native import NativeLibrary\n"
        "sources, installation, cache, ready, mine, other = map(pathlib.Path, sys.argv[1:])\n"
        "(ready / mine).touch()\n"
        "while not (ready / other).exists(): time.sleep(0.01)\n"
        f"print(NativeLibrary(sources, installation, cache).load().module.stand_in{stand_in.number}().numpy())\n"
    )
    # A compiler so slow that the second process always asks while the first one builds.
    compiler = tmp_path / "slow-compiler"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] || sleep 1\nexec g++ "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    environment = {**os.environ, "CXX": str(compiler)}
    folders = (stand_in.sources, installation, cache, tmp_path)
    processes = [
        ForkedPython(script, *folders, *names, cwd=ROOT, environment=environment) for names in (("a", "b"), ("b", "a"))
    ]
    ended = [process.wait() for process in processes]
    assert [one.stdout for one in ended] == ["42\n", "42\n"], ended
    assert sum(one.stderr.count("building the native operators with") for one in ended) == 1
    assert len(list(cache.glob("*.so"))) == 1 and not list(cache.glob("building-*"))


def test_what_a_build_that_was_killed_at_its_end_left_is_cleared_by_the_next_use(library, stand_in, cache):
    stand_in.build(cache)
    (cache / "building-dead").mkdir()
    assert stand_in.works(library.load()) and not list(cache.glob("building-*"))


def test_without_a_compiler_what_was_built_before_is_used(library, stand_in, cache, no_compiler, monkeypatch):
    with monkeypatch.context() as before:
        before.setenv("PATH", os.defpath)
        path = stand_in.build(cache)
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.path == path


def test_a_cache_that_cannot_be_written_gives_a_library_for_this_process(
    library, stand_in, cache, tmp_path, capfd, monkeypatch
):
    cache.write_text("a file where the folder should be", encoding="utf-8")  # root may write any folder
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built for this process only"
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert f"for this process only; {cache} cannot be written" in said and "set RETHINK_FR_CACHE to another" in said
    assert list(temporary.iterdir()) == []


def test_a_read_only_cache_gives_a_library_for_this_process(library, stand_in, cache):
    cache.mkdir(mode=0o500)
    if os.access(cache, os.W_OK):
        pytest.skip("this user may write into any folder")
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built for this process only"


def test_a_library_that_cannot_be_kept_is_no_success_of_building(library, cache):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(NativeOpsError, match="cache cannot be written .* set RETHINK_FR_CACHE"):
        library.build()


def test_a_carried_library_needs_neither_compiler_nor_cache(
    library, stand_in, installation, cache, no_compiler, monkeypatch
):
    with monkeypatch.context() as before:
        before.setenv("PATH", os.defpath)
        path = stand_in.carry(installation)
    loaded = library.load()
    assert stand_in.works(loaded) and (loaded.path, loaded.origin) == (path, "carried by this installation")
    assert not cache.exists()


def test_a_carried_library_needs_no_sources(stand_in, installation, cache):
    stand_in.carry(installation)
    named = carried_name(stand_in.sources)
    missing = NativeLibrary(installation / "cc", installation, cache)
    loaded = missing.load()
    assert stand_in.works(loaded) and loaded.path.name.startswith(named)


def test_a_library_carried_for_another_tensorflow_is_not_used(library, stand_in, installation, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(tf, "__version__", "2.14.0")
        stale = stand_in.carry(installation)
    assert stale.name.startswith("_native-tf2.14.0-")
    with monkeypatch.context() as without:
        without.setenv("PATH", str(installation))
        with pytest.raises(
            NativeOpsError, match="carries is damaged, or for another TensorFlow or other sources; there"
        ):
            library.build()
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built on this machine"
    assert stale.exists()


def test_a_library_carried_for_other_sources_is_not_used(library, stand_in, installation):
    stand_in.carry(installation)
    with open(stand_in.sources / UNIT, "a", encoding="utf-8") as unit:
        unit.write("// edited since\n")
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built on this machine"


def test_a_carried_library_that_is_damaged_is_not_used(library, stand_in, installation):
    path = stand_in.carry(installation)
    os.truncate(path, path.stat().st_size // 2)
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built on this machine"


def test_a_library_that_was_cut_short_is_built_again(library, stand_in, cache, capfd):
    path = stand_in.build(cache)
    size = path.stat().st_size
    os.truncate(path, size // 2)
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.path.stat().st_size == size
    assert f"{path.name} was damaged" in capfd.readouterr().err
    assert list(cache.glob("*.so")) == [loaded.path]


def test_a_library_that_cannot_be_loaded_is_built_again(library, stand_in, cache, capfd):
    path = stand_in.build(cache)
    path.unlink()
    name = cached_name(stand_in.sources, find_compiler())
    fake = cache / f"{name}-2cf24dba5fb0.so"  # its contents have this checksum
    fake.write_text("hello", encoding="utf-8")
    loaded = library.load()
    assert stand_in.works(loaded)
    assert f"{fake.name} cannot be loaded" in capfd.readouterr().err
    assert list(cache.glob("*.so")) == [loaded.path]


def test_a_build_that_cannot_be_loaded_is_tried_once(library, stand_in, capfd):
    with open(stand_in.sources / UNIT, "a", encoding="utf-8") as unit:
        unit.write("int nowhere(); int caller() { return nowhere(); }\n")
    for _ in range(2):
        with pytest.raises(NativeOpsError, match="undefined symbol: .*nowhere.*does not fit this TensorFlow; set CXX"):
            library.load()
    assert capfd.readouterr().err.count("building") == 1


def test_a_compiler_that_fails_is_quoted_and_its_log_is_kept(library, stand_in, cache):
    stand_in.header.write_text("#error this header is broken\n", encoding="utf-8")
    with pytest.raises(NativeOpsError, match="this header is broken.*the full log is .*build.log.*build-ops") as caught:
        library.load()
    assert "\n" not in str(caught.value)
    log = re.search(r"the full log is (.*?build\.log)", str(caught.value))
    assert log is not None and "this header is broken" in Path(log[1]).read_text(encoding="utf-8")
    assert not list(cache.glob("*.so")) and not list(cache.glob("building-*"))


def test_missing_sources_are_named(installation, cache):
    with pytest.raises(NativeOpsError, match="sources are missing in .*; install rethink-fr again"):
        NativeLibrary(installation / "cc", installation, cache).load()


def test_looking_builds_nothing(library, cache):
    assert library.look() is None
    assert not cache.exists()


def test_force_replaces_what_was_built(library, stand_in, cache, capfd):
    path = stand_in.build(cache)
    before = path.stat().st_mtime_ns
    loaded = library.build(force=True)
    assert stand_in.works(loaded) and loaded.path.stat().st_mtime_ns > before
    assert list(cache.glob("*.so")) == [loaded.path]
    assert "building" in capfd.readouterr().err
