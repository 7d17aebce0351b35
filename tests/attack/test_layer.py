"""The layer finds what it is there to find: files written carelessly."""

import errno
import os

import pytest

from tests.attack.layer import contents, points

HERE = "tests.attack.file_scenarios"


def states(trials, folder, scenario, mode):
    """What `target` holds after a trial for each change, and how many changes there were."""
    found = []
    count = len(trials.run(f"{HERE}:{scenario}", folder, folder / "target", "new").changes)
    for at in points(count):
        for path in folder.iterdir():
            path.unlink()
        (folder / "target").write_bytes(b"old")
        ended = trials.run(f"{HERE}:{scenario}", folder, folder / "target", "new", mode=mode, at=at)
        assert ended.killed and len(ended.changes) == at, ended
        found.append(len((folder / "target").read_bytes()))
    return found


def test_a_file_written_in_place_is_found_empty_and_half(trials, tmp_path):
    assert 0 in states(trials, tmp_path, "careless", "kill")
    assert 150_000 in states(trials, tmp_path, "careless", "half")


def test_a_file_renamed_before_it_is_synced_is_found_empty(trials, tmp_path):
    assert set(states(trials, tmp_path, "unsynced", "kill")) == {3, 300_000}
    assert 0 in states(trials, tmp_path, "unsynced", "power")


@pytest.mark.parametrize(("mode", "number"), [("full", errno.ENOSPC), ("broken", errno.EIO)])
def test_writes_fail_as_told(trials, tmp_path, mode, number):
    ended = trials.run(f"{HERE}:write", tmp_path, tmp_path / "target", "new", mode=mode, at=2)
    assert ended.code == 1 and os.strerror(number) in ended.output


def test_what_lies_elsewhere_is_left_alone(trials, tmp_path):
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched-not").mkdir()
    target = tmp_path / "watched-not/target"
    ended = trials.run(f"{HERE}:write", tmp_path / "watched", target, "new", mode="kill", at=1)
    assert ended.code == 0 and not ended.changes and list(contents(tmp_path / "watched-not")) == ["target"]
