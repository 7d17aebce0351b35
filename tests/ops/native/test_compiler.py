"""Finding a compiler, and calling it."""

import pytest

from rethink_fr.ops.native import native_library
from rethink_fr.ops.native.compiler import UNIT, compile_library, find_compiler
from rethink_fr.ops.native.errors import CompilationError, NativeOpsError


def test_cxx_is_asked_first_and_may_hold_arguments(monkeypatch):
    monkeypatch.setenv("CXX", "c++ -m64")
    assert find_compiler().command == ("c++", "-m64")


def test_an_empty_cxx_counts_as_none(monkeypatch):
    monkeypatch.setenv("CXX", "")
    assert find_compiler().version


def test_a_cxx_that_is_not_there_is_not_replaced_in_silence(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(NativeOpsError, match="CXX names no-such-compiler, which is not on the PATH"):
        find_compiler()


def test_a_compiler_that_does_not_run_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(NativeOpsError, match="`false --version` fails"):
        find_compiler()


def test_without_a_compiler_the_error_says_which_were_looked_for(no_compiler):
    with pytest.raises(NativeOpsError, match=r"no C\+\+ compiler \(g\+\+, c\+\+, clang\+\+\); install one, or set CXX"):
        find_compiler()


def test_warnings_about_our_sources_are_returned_and_tensorflow_gives_none(stand_in, tmp_path):
    assert compile_library(find_compiler(), stand_in.sources, tmp_path / "quiet.so") == ""
    with open(stand_in.sources / UNIT, "a", encoding="utf-8") as unit:
        unit.write("static int forgotten() { return 1; }\n")
    said = compile_library(find_compiler(), stand_in.sources, tmp_path / "loud.so")
    assert "forgotten" in said and "warning" in said


def test_the_error_of_a_compiler_is_one_line_and_its_log_is_whole(stand_in, tmp_path):
    stand_in.header.write_text("#error this header is broken\n", encoding="utf-8")
    with pytest.raises(CompilationError, match="exit code 1: .*this header is broken") as caught:
        compile_library(find_compiler(), stand_in.sources, tmp_path / "none.so")
    assert "\n" not in str(caught.value)
    assert caught.value.log.count("\n") > 1 and "-std=c++17" in caught.value.log


def test_our_own_sources_compile_without_a_warning(tmp_path):
    assert compile_library(find_compiler(), native_library().sources, tmp_path / "native.so") == ""
