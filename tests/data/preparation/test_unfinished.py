"""Interrupted at any place and continued: the result of a call that was not interrupted, and nothing done twice."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from rethink_fr.data.preparation import pool as pool_module
from rethink_fr.data.preparation import unfinished as unfinished_module
from rethink_fr.data.prepare import prepare
from rethink_fr.files.locks import LockedError, exclusive_lock
from rethink_fr.pictures.files import write_image
from tests.command_line import ROOT

COUNT = 11


@pytest.fixture
def originals(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        write_image(tmp_path / "in" / f"{number:02d}.png", generator.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    for number in (3, 4, 11):
        (tmp_path / "in" / f"{number:02d}b.jpg").write_bytes(b"broken")
    return tmp_path / "in"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(originals, output, **options):
    return prepare(originals, output, size=16, shard_size=3, progress=False, **options)


@pytest.fixture
def counted(monkeypatch):
    """Names of the pictures that were prepared; the one of `stop` interrupts."""
    names, one = [], pool_module.prepare_picture

    def prepare_picture(files, name, how):
        names.append(name)
        if name == prepare_picture.stop:
            raise KeyboardInterrupt
        return one(files, name, how)

    prepare_picture.stop = ""
    prepare_picture.names = names
    monkeypatch.setattr(pool_module, "prepare_picture", prepare_picture)
    monkeypatch.setattr(pool_module, "_FILES_AT_A_TIME", 1)
    return prepare_picture


def test_a_call_interrupted_at_any_picture_goes_on_after_the_last_shard(originals, tmp_path, counted):
    whole = run(originals, tmp_path / "whole")
    for name in sorted(os.listdir(originals)):
        counted.stop = name
        with pytest.raises(KeyboardInterrupt):
            run(originals, tmp_path / "out")
        begun = len([one for one in sorted(os.listdir(originals)) if one < name and one.endswith("png")])
        assert (tmp_path / "out.unfinished").exists() == (begun >= 3)
        counted.stop = ""
        counted.names.clear()
        report = run(originals, tmp_path / "out")
        assert (
            counted.names[0] <= name and len([n for n in counted.names if n.endswith("png")]) == COUNT - begun // 3 * 3
        )
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")
        assert report.unreadable == whole.unreadable and report.written == whole.written
        assert sorted(os.listdir(tmp_path)) == ["in", "out", "whole"]
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        (tmp_path / "out").rmdir()


def test_what_changed_meanwhile_is_done_again(originals, tmp_path, counted):
    def interrupted():
        counted.stop = "10.png"
        with pytest.raises(KeyboardInterrupt):
            run(originals, tmp_path / "out")
        counted.stop = ""
        counted.names.clear()

    damages = (
        lambda: (tmp_path / "out.unfinished/records/images-00001.tfrecord").write_bytes(b"half"),
        lambda: (tmp_path / "out.unfinished/progress.jsonl").write_bytes(
            (tmp_path / "out.unfinished/progress.jsonl").read_bytes()[:-700]
        ),
        lambda: write_image(originals / "04.png", np.zeros((24, 24, 3), np.uint8)),
        lambda: (originals / "00a.png").write_bytes((originals / "02.png").read_bytes()),
    )
    for number, damage in enumerate(damages):
        interrupted()
        damage()
        run(originals, tmp_path / "out")
        assert 5 <= len(counted.names) <= COUNT + 4
        run(originals, tmp_path / f"whole {number}")
        assert contents(tmp_path / "out") == contents(tmp_path / f"whole {number}")
        for path in (tmp_path / "out").iterdir():
            path.unlink()


def test_other_settings_begin_anew_and_other_things_are_not_touched(originals, tmp_path, counted):
    counted.stop = "10.png"
    with pytest.raises(KeyboardInterrupt):
        run(originals, tmp_path / "out")
    counted.stop = ""
    counted.names.clear()
    prepare(originals, tmp_path / "out", size=8, shard_size=3, progress=False)
    assert len(counted.names) == COUNT + 3
    (tmp_path / "new.unfinished").mkdir()
    (tmp_path / "new.unfinished" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"new\.unfinished: holds something else .thesis\.txt."):
        run(originals, tmp_path / "new")
    assert (tmp_path / "new.unfinished" / "thesis.txt").read_text() == "years of work"


def test_one_process_at_a_time_and_what_a_kill_at_the_very_end_leaves(originals, tmp_path):
    (tmp_path / "out.unfinished").mkdir()
    with exclusive_lock(tmp_path / "out.unfinished" / "lock", "it"), pytest.raises(LockedError, match="is in use by"):
        run(originals, tmp_path / "out")
    run(originals, tmp_path / "out")
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished" / unfinished_module._PROGRESS).write_text("{}")
    assert run(originals, tmp_path / "out").unchanged
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_several_processes_make_the_same(originals, tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "_CHUNK", 2)
    run(originals, tmp_path / "one")
    run(originals, tmp_path / "two", processes=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_processes_are_chosen_by_processors_and_pictures(monkeypatch):
    monkeypatch.setattr(pool_module.os, "sched_getaffinity", lambda process: set(range(8)))
    assert [pool_module.processes_for(count) for count in (1, 999, 1000, 3000, 70_000)] == [1, 1, 2, 6, 8]
    assert pool_module.processes_for(10, 3) == 3


@pytest.mark.slow
def test_killed_again_and_again_with_processes_it_ends_as_one_call(tmp_path):
    generator = np.random.default_rng(1)
    for number in range(3000):
        write_image(tmp_path / "in" / f"{number:04d}.png", generator.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    code = (
        "import sys; from pathlib import Path; from rethink_fr.data.prepare import prepare\n"
        "if __name__ == '__main__': prepare(Path(sys.argv[1]), Path(sys.argv[2]), 128, 100, False, processes=2)\n"
    )
    (tmp_path / "call.py").write_text(code)
    command = [sys.executable, tmp_path / "call.py", tmp_path / "in"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, tmp_path / "whole"], check=True, env=environment)
    kills = 0
    while not (tmp_path / "out").exists():
        started = subprocess.Popen([*command, tmp_path / "out"], env=environment, start_new_session=True)
        try:
            started.wait(generator.uniform(3, 9))
        except subprocess.TimeoutExpired:
            started.send_signal(signal.SIGKILL)
            started.wait()
            kills += 1
            time.sleep(1)
            # Its processes end with it, and what is finished stays finished.
            assert not group(started.pid)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole") and kills > 1
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["records"] == 3000


def group(session):
    """The processes of a session that are left."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                status = open(f"{entry.path}/stat").read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(status[3]) == session and status[0] != "Z":
                found.append(entry.name)
    return found


@pytest.mark.slow
def test_a_store_gets_the_whole_and_an_interrupted_call_goes_on_from_the_cache(
    originals, tmp_path, bucket, counted, monkeypatch
):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    run(originals, tmp_path / "whole")
    (tmp_path / "tar").mkdir()
    with tarfile.open(tmp_path / "tar" / "in.tar", "w") as tar:
        for path in sorted(originals.iterdir()):
            tar.add(path, path.name)
    bucket.upload(tmp_path / "tar", "archives")
    for given in (originals, Path(bucket.address) / "archives" / "in.tar"):
        output = Path(bucket.address) / given.name
        counted.stop = "07.png"
        with pytest.raises(KeyboardInterrupt):
            run(given, output)
        assert not bucket.contents(f"{given.name}/")
        assert len(list((tmp_path / "cache/prepare").glob("*/records/*.tfrecord"))) == 3  # two, and a part
        counted.stop = ""
        counted.names.clear()
        run(given, output)
        assert counted.names[0] == "06.png"
        assert bucket.contents(f"{given.name}/") == contents(tmp_path / "whole")
        assert not list((tmp_path / "cache/prepare").iterdir())
        assert run(given, output).unchanged
