"""What counts as private: this user's or root's, and nobody else's to write to."""

import grp
import os
import pwd
from types import SimpleNamespace

import pytest

from rethink_fr.files import ownership
from rethink_fr.files.ownership import NotPrivateError, make_private_folder, require_private


def test_what_is_ours_is_private_and_links_are_resolved(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o644)
    (tmp_path / "link").symlink_to("a")
    assert require_private(tmp_path / "link") == tmp_path / "a"
    assert require_private("/etc") is not None  # root's
    with pytest.raises(OSError):
        require_private(tmp_path / "none")


def test_missing_folders_are_made_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        made = make_private_folder(tmp_path / "a/b")
    finally:
        os.umask(before)
    assert made == tmp_path / "a/b"
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        make_private_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("mode", "advice"),
    [(0o777, "run: chmod go-w '.*a b'"), (0o757, "run: chmod"), (0o1777, "make a folder of your own")],
)
def test_a_folder_that_others_can_write_to_is_not_private(tmp_path, mode, advice):
    folder = make_private_folder(tmp_path / "a b")
    folder.chmod(mode)
    with pytest.raises(NotPrivateError, match=f"a b: other users may write to it, so it is not trusted; {advice}"):
        make_private_folder(folder)
    assert folder.stat().st_mode & 0o7777 == mode  # nothing is done about it


def test_a_name_in_a_sticky_folder_cannot_be_replaced(tmp_path):
    folder = make_private_folder(tmp_path / "tmp/mine")
    folder.parent.chmod(0o1777)
    assert require_private(folder) == folder
    folder.parent.chmod(0o777)
    with pytest.raises(NotPrivateError, match="tmp: other users may write"):
        require_private(folder)


def test_pipes_are_neither(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotPrivateError, match="no regular file"):
        require_private(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_what_belongs_to_another_user_is_not_private(tmp_path):
    folder = make_private_folder(tmp_path / "a/b")
    os.chown(folder.parent, 65534, 65534)
    with pytest.raises(NotPrivateError, match="a: belongs to user 65534"):
        require_private(folder)


@pytest.mark.parametrize(
    ("name", "members", "primary", "private"),
    [
        ("someone", [], True, True),
        ("someone", ["someone"], True, True),
        ("someone", ["someone", "else"], True, False),
        ("staff", [], True, False),
        ("someone", [], False, False),
    ],
)
def test_a_group_may_write_if_it_is_the_users_own(tmp_path, monkeypatch, name, members, primary, private):
    folder = make_private_folder(tmp_path / "a")
    folder.chmod(0o770)
    group = folder.stat().st_gid
    user = SimpleNamespace(pw_name="someone", pw_gid=group if primary else group + 1)
    monkeypatch.setattr(pwd, "getpwuid", lambda number: user)
    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name=name, gr_mem=members))
    ownership._is_own_group.cache_clear()
    try:
        if private:
            assert require_private(folder) == folder
        else:
            with pytest.raises(NotPrivateError, match="other users may write"):
                require_private(folder)
    finally:
        ownership._is_own_group.cache_clear()
