"""What another user could have written is not loaded, and what we write is for this user alone."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from rethink_fr.ops.native import NativeLibrary, NativeOpsError, native_ops

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
    path = stand_in.carry(installation)
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
    stand_in.header.write_text("#error this header is broken\n", encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(NativeOpsError, match="the full log is") as caught:
        library.load()
    log = Path(re.search(r"the full log is (\S*?\.log)", str(caught.value))[1])
    assert log.parent == tmp_path and str(os.getpid()) not in log.name.split("-")
    assert log.stat().st_mode & 0o777 == 0o600 and "this header is broken" in log.read_text(encoding="utf-8")
