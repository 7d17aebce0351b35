"""The native library: each way to have it ends in an operator that works, each other in one clear message."""

import os
import re
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.ops import NativeOpsError, deform_conv2d, native
from rethink_fr.ops.compiler import UNIT, find_compiler
from rethink_fr.ops.library import build_library, cached_name, carried_name
from rethink_fr.ops.native import NativeLibrary, native_ops
from tests.command_line import ROOT


@pytest.fixture()
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture()
def installation(tmp_path) -> Path:
    """The folder of the package's modules, where a wheel puts the library it carries."""
    folder = tmp_path / "installation"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture()
def library(stand_in, installation, cache) -> NativeLibrary:
    return NativeLibrary(stand_in.sources, installation, cache)


@pytest.fixture()
def process_library(library, monkeypatch) -> NativeLibrary:
    """The stand-in as the library of this process, not asked for yet."""
    monkeypatch.setattr(native, "_library", library)
    monkeypatch.setattr(native, "_warned", False)
    monkeypatch.delenv("RETHINK_FR_OPS", raising=False)
    return library


def carry(stand_in, installation: Path) -> Path:
    """Put a library into the installation, as a wheel does."""
    name = carried_name(stand_in.sources)
    return build_library(find_compiler(), stand_in.sources, installation, installation, name, installation / "log")


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


def test_processes_that_start_at_once_share_one_build(stand_in, installation, cache, tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "from rethink_fr.ops.native import NativeLibrary\n"
        "sources, installation, cache, ready, mine, other = map(pathlib.Path, sys.argv[1:])\n"
        "(ready / mine).touch()\n"
        "while not (ready / other).exists(): time.sleep(0.01)\n"
        f"print(NativeLibrary(sources, installation, cache).load().module.stand_in{stand_in.number}().numpy())\n"
    )
    # Slow enough that the second one always comes while the first one builds.
    compiler = tmp_path / "slow-compiler"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] || sleep 1\nexec g++ "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    environment = {**os.environ, "CXX": str(compiler), "PYTHONPATH": str(ROOT)}
    folders = [str(folder) for folder in (stand_in.sources, installation, cache, tmp_path)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *folders, *names],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for names in (("a", "b"), ("b", "a"))
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [output for output, _ in outputs] == ["42\n", "42\n"], outputs
    assert sum(errors.count("building") for _, errors in outputs) == 1
    assert len(list(cache.glob("*.so"))) == 1 and not list(cache.glob("building-*"))


def test_without_a_compiler_what_was_built_before_is_used(library, stand_in, cache, no_compiler, monkeypatch):
    with monkeypatch.context() as before:
        before.setenv("PATH", os.defpath)
        path = stand_in.build(cache)
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.path == path


def test_without_a_compiler_the_composition_takes_over_with_one_warning(process_library, no_compiler):
    generator = np.random.default_rng(0)
    shapes = [[1, 5, 5, 4], [1, 5, 5, 18], [1, 5, 5, 9], [3, 3, 4, 2]]
    tensors = [tf.constant(generator.normal(size=shape), tf.float32) for shape in shapes]
    with pytest.warns(RuntimeWarning) as caught:
        outputs = [deform_conv2d(*tensors, implementation=choice) for choice in ("auto", "auto", "reference")]
    np.testing.assert_array_equal(outputs[0], outputs[2])
    assert len(caught) == 1 and caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.startswith("no native operators; there is no C++ compiler (g++, c++, clang++); install one")
    assert "`rethink-fr build-ops` builds them" in message and "slower" in message
    with pytest.raises(NativeOpsError, match=r"there is no C\+\+ compiler.*build-ops"):
        deform_conv2d(*tensors, implementation="compiled")


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
        path = carry(stand_in, installation)
    loaded = library.load()
    assert stand_in.works(loaded) and (loaded.path, loaded.origin) == (path, "carried by this installation")
    assert not cache.exists()


def test_a_carried_library_needs_no_sources(stand_in, installation, cache):
    carry(stand_in, installation)
    named = carried_name(stand_in.sources)
    missing = NativeLibrary(installation / "cc", installation, cache)
    loaded = missing.load()
    assert stand_in.works(loaded) and loaded.path.name.startswith(named)


def test_a_library_carried_for_another_tensorflow_is_not_used(library, stand_in, installation, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(tf, "__version__", "2.14.0")
        stale = carry(stand_in, installation)
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
    carry(stand_in, installation)
    with open(stand_in.sources / UNIT, "a", encoding="utf-8") as unit:
        unit.write("// edited since\n")
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built on this machine"


def test_a_carried_library_that_is_damaged_is_not_used(library, stand_in, installation):
    path = carry(stand_in, installation)
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
    fake = cache / f"{name}-2cf24dba5fb0.so"  # the checksum of what it holds
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
    (stand_in.sources / "answer.h").write_text("#error this header is broken\n", encoding="utf-8")
    with pytest.raises(NativeOpsError, match="this header is broken.*the full log is .*build.log.*build-ops") as caught:
        library.load()
    assert "\n" not in str(caught.value)
    log = re.search(r"the full log is (.*?build\.log)", str(caught.value))
    assert log is not None and "this header is broken" in Path(log[1]).read_text(encoding="utf-8")
    assert not list(cache.glob("*.so")) and not list(cache.glob("building-*"))


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def test_what_is_made_in_the_cache_is_for_this_user_alone(stand_in, installation, tmp_path):
    before = os.umask(0)
    try:
        loaded = NativeLibrary(stand_in.sources, installation, tmp_path / "deep/cache").load()
    finally:
        os.umask(before)
    assert stand_in.works(loaded)
    for folder in (tmp_path / "deep", tmp_path / "deep/cache"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not loaded.path.stat().st_mode & 0o022


@pytest.mark.parametrize("where", ["cache", "above"])
def test_a_cache_that_others_can_write_to_is_refused_with_one_warning(process_library, stand_in, cache, where, capfd):
    stand_in.build(cache)
    open_to_all = cache if where == "cache" else cache.parent
    open_to_all.chmod(0o777)
    with pytest.warns(RuntimeWarning) as caught:
        assert native_ops() is None and native_ops() is None
    message = str(caught[0].message)
    assert len(caught) == 1 and "\n" not in message and message.count("other users may write to it") == 1
    assert f"run: chmod go-w {open_to_all}, or set RETHINK_FR_CACHE to a folder of your own" in message
    with pytest.raises(NativeOpsError, match="other users may write to it"):
        process_library.look()
    with pytest.raises(NativeOpsError, match="other users may write to it"):
        process_library.build()
    assert "building" not in capfd.readouterr().err
    open_to_all.chmod(0o700)
    assert stand_in.works(process_library.build())


def test_a_library_that_others_can_write_to_is_built_again(library, stand_in, cache, capfd):
    path = stand_in.build(cache)
    path.chmod(0o777)
    loaded = library.load()
    assert stand_in.works(loaded) and not loaded.path.stat().st_mode & 0o022
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and f"{path}: other users may write to it" in said


@as_root
def test_a_library_of_another_user_is_not_loaded(library, stand_in, cache, capfd):
    path = stand_in.build(cache)
    os.chown(path, 65534, 65534)
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.path.stat().st_uid == 0
    assert f"{path}: belongs to user 65534, not to you or root" in capfd.readouterr().err


@as_root
@pytest.mark.parametrize("where", ["cache", "above"])
def test_nothing_below_a_folder_of_another_user_is_loaded(library, stand_in, cache, tmp_path, where):
    stand_in.build(cache)
    os.chown(cache if where == "cache" else tmp_path, 65534, 65534)
    with pytest.raises(NativeOpsError, match="belongs to user 65534.*set RETHINK_FR_CACHE to a folder of your own"):
        library.load()


def test_a_link_is_followed_to_what_it_names_before_it_is_trusted(stand_in, installation, tmp_path):
    stand_in.build(tmp_path / "open/cache")
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open/cache")
    with pytest.raises(NativeOpsError, match="open: other users may write to it"):
        NativeLibrary(stand_in.sources, installation, tmp_path / "link").load()
    (tmp_path / "open").chmod(0o1777)  # as /tmp: nobody can replace what is ours
    assert stand_in.works(NativeLibrary(stand_in.sources, installation, tmp_path / "link").load())


def test_a_carried_library_that_others_can_write_to_is_not_loaded(library, stand_in, installation, capfd):
    path = carry(stand_in, installation)
    installation.chmod(0o777)
    loaded = library.load()
    assert stand_in.works(loaded) and loaded.origin == "built on this machine"
    assert f"{path.parent}: other users may write to it" in capfd.readouterr().err


def test_a_temporary_folder_that_others_can_rename_in_is_not_used(library, cache, tmp_path, monkeypatch):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    (tmp_path / "temporary").chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with pytest.raises(NativeOpsError, match="temporary: other users may write to it.*set TMPDIR to a folder of your"):
        library.load()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_logs_outside_the_cache_have_names_that_nobody_can_foresee(library, stand_in, cache, tmp_path, monkeypatch):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    (stand_in.sources / "answer.h").write_text("#error this header is broken\n", encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(NativeOpsError, match="the full log is") as caught:
        library.load()
    log = Path(re.search(r"the full log is (\S*?\.log)", str(caught.value))[1])
    assert log.parent == tmp_path and str(os.getpid()) not in log.name.split("-")
    assert log.stat().st_mode & 0o777 == 0o600 and "this header is broken" in log.read_text(encoding="utf-8")


def test_a_relative_cache_is_one_warning(monkeypatch):
    monkeypatch.setattr(native, "_library", None)
    monkeypatch.setattr(native, "_warned", False)
    monkeypatch.setenv("RETHINK_FR_CACHE", "cache")
    monkeypatch.delenv("RETHINK_FR_OPS", raising=False)
    with pytest.warns(RuntimeWarning, match="RETHINK_FR_CACHE is 'cache', expected an absolute path"):
        assert native_ops() is None


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


def test_the_environment_may_forbid_native_operators(process_library, cache, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_OPS", "reference")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert native_ops() is None
    with pytest.raises(NativeOpsError, match="RETHINK_FR_OPS=reference forbids them; unset it"):
        native_ops(required=True)
    assert not cache.exists()
    monkeypatch.setenv("RETHINK_FR_OPS", "fast")
    with pytest.raises(ValueError, match="RETHINK_FR_OPS is 'fast', expected auto or reference"):
        native_ops()


def test_native_ops_gives_the_module(process_library, stand_in):
    module = native_ops(required=True)
    assert module is native_ops() is process_library.load().module
    assert hasattr(module, f"stand_in{stand_in.number}")


def test_tests_may_choose_an_instruction_set(process_library):
    assert native.instruction_set() == "baseline"
    assert not native.use_instruction_set("no such set") and native.instruction_set() == "baseline"
    assert native.use_instruction_set("avx2") and native.instruction_set() == "avx2"


def test_loading_while_a_graph_is_traced_is_silent(tmp_path):
    """AutoGraph would try to convert what finds and loads the library, and tell the user at length that it cannot."""
    script = tmp_path / "script.py"  # AutoGraph converts only what it can read from a file
    script.write_text(
        "import tensorflow as tf\n"
        "from rethink_fr.ops import group_norm_swish\n"
        "@tf.function\n"
        "def step(x):\n"
        "    return group_norm_swish(x, tf.ones(4), tf.zeros(4), groups=2, implementation='compiled')\n"
        "print(step(tf.ones([1, 2, 2, 4])).shape)\n"
    )
    native.native_library().load()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "(1, 2, 2, 4)" in done.stdout, done.stderr
    assert "AutoGraph" not in done.stderr
