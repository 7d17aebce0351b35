"""Names of library files."""

import shutil

import tensorflow as tf

from rethink_fr.ops.native.compiler import Compiler, find_compiler
from rethink_fr.ops.native.files import cached_name, carried_name, libraries, remove_damaged


def test_a_name_tells_sources_compiler_and_tensorflow_apart(stand_in, monkeypatch):
    compiler = find_compiler()
    name = cached_name(stand_in.sources, compiler)
    assert name.startswith(f"native-tf{tf.__version__}-")
    assert name.startswith(cached_name(stand_in.sources, None))
    assert cached_name(stand_in.sources, Compiler(compiler.command, "g++ 99")) != name
    with monkeypatch.context() as patched:
        patched.setattr(tf, "__version__", "2.14.0")
        assert cached_name(stand_in.sources, compiler) != name
    stand_in.header.write_text("#define ANSWER 43\n", encoding="utf-8")
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
