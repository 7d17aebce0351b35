"""A run's folder and its mirror on an object store: cut off anywhere, continued anywhere, by one process at a time."""

import shutil
from pathlib import Path

import pytest

from rethink_fr.errors import RunFailure
from rethink_fr.files import stores
from rethink_fr.runs import checkpoint_files
from rethink_fr.runs.mirror import local_model, open_run_folder, staging_folder


def take_steps(folder: Path, step: int, keep: int = 2) -> None:
    """What training leaves at a checkpoint, without TensorFlow."""
    (folder / "config.yaml").write_text("training: {}\n")
    checkpoints = folder / "checkpoints"
    writing = checkpoint_files.writing_folder(checkpoints)
    for end in ("data-00000-of-00001", "index"):
        (writing / f"step-{step}.{end}").write_text(f"{end} of {step}")
    checkpoint_files.commit(checkpoints, step, keep)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(f'{{"step": {step}}}\n')


def newest(folder: Path) -> int:
    choice = checkpoint_files.choose_checkpoint(folder / "checkpoints", lambda path: "")
    return choice.step if choice else 0


@pytest.fixture
def output(bucket) -> Path:
    return Path(bucket.address) / "runs" / "a"


def forget(output: Path) -> None:
    """As on another machine."""
    shutil.rmtree(staging_folder(output))


def test_a_folder_of_this_machine_is_itself(tmp_path):
    with open_run_folder(tmp_path / "run", chief=True) as folder:
        folder.claim()
        folder.save()
        assert folder.path == tmp_path / "run" and not folder.path.exists()


def test_a_run_is_continued_on_another_machine(bucket, output):
    for last in (2, 4):
        with open_run_folder(output, chief=True) as folder:
            assert newest(folder.path) == last - 2
            folder.claim()
            for step in (last - 1, last):
                take_steps(folder.path, step)
                folder.save()
                assert f"checkpoints/step-{step}.index" in bucket.contents("runs/a/")
        forget(output)
    there = bucket.contents("runs/a/")
    assert {name for name in there if name.startswith("checkpoints/step-")} == {
        f"checkpoints/step-{step}.{end}" for step in (3, 4) for end in ("data-00000-of-00001", "index", "json")
    }
    assert there["metrics.jsonl"].count(b"\n") == 4
    assert not [name for name in there if "lock" in name or ".rfr" in name or "writing" in name]


def test_whatever_is_cut_off_a_whole_checkpoint_is_there(bucket, output, monkeypatch):
    """Every change of the store in turn is the last one; then another machine goes on."""
    write, remove = stores.write_object, stores.remove
    changes, limit = 0, 1 << 30

    def counted(change):
        def limited(*arguments):
            nonlocal changes
            if changes >= limit:
                raise KeyboardInterrupt
            changes += 1
            change(*arguments)

        return limited

    with open_run_folder(output, chief=True) as folder:
        folder.claim()
        for step in (1, 2):
            take_steps(folder.path, step)
        folder.save()
    begun = bucket.contents("runs/a/")
    monkeypatch.setattr(stores, "write_object", counted(write))
    monkeypatch.setattr(stores, "remove", counted(remove))
    reached = []
    for limit in range(1, 40):  # noqa: B007 (read by `limited`)
        for name in bucket.contents():
            bucket.remove(name)
        for name, data in begun.items():
            bucket.put(f"runs/a/{name}", data)
        forget(output)
        changes = 0
        try:
            with open_run_folder(output, chief=True) as folder:
                folder.claim()
                take_steps(folder.path, 3)
        except KeyboardInterrupt:
            pass
        else:
            break
        changes = -(1 << 30)
        forget(output)
        with open_run_folder(output, chief=True) as folder:
            assert (folder.path / "config.yaml").is_file()
            reached.append(newest(folder.path))
    assert len(reached) > 6 and set(reached) == {2, 3} and reached == sorted(reached)


def test_what_this_machine_has_is_used_again_only_if_nobody_went_on_meanwhile(bucket, output, tmp_path, monkeypatch):
    with open_run_folder(output, chief=True) as folder:
        folder.claim()
        take_steps(folder.path, 1)
        folder.save()
        here = folder.path
    take_steps(here, 2)  # killed before it was mirrored
    with open_run_folder(output, chief=True) as folder:
        assert newest(folder.path) == 2
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "other machine"))
    with open_run_folder(output, chief=True) as folder:
        assert newest(folder.path) == 1
        folder.claim()
        take_steps(folder.path, 7)
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    with open_run_folder(output, chief=True) as folder:
        assert newest(folder.path) == 7
        assert not (folder.path / "checkpoints" / "step-2.index").exists()


def test_the_process_that_came_first_stops_when_another_took_over(bucket, output, tmp_path, monkeypatch):
    def first() -> None:
        with open_run_folder(output, chief=True) as folder:
            folder.claim()
            take_steps(folder.path, 1)
            folder.save()
            monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "other machine"))
            with open_run_folder(output, chief=True) as other:
                other.claim()
                take_steps(other.path, 2)
            take_steps(folder.path, 9)
            folder.save()

    with pytest.raises(RunFailure, match=r"another process has taken this run over \(process \d+ on "):
        first()
    assert not any("step-9" in name for name in bucket.contents("runs/a/"))
    assert "checkpoints/step-2.index" in bucket.contents("runs/a/")


def test_a_store_that_is_away_for_a_while_costs_nothing(bucket, output, monkeypatch, capsys):
    with open_run_folder(output, chief=True) as folder:
        folder.claim()
        take_steps(folder.path, 1)
        with monkeypatch.context() as away:
            away.setattr(stores, "write_object", lambda *arguments: (_ for _ in ()).throw(OSError(5, "is away", "x")))
            folder.save()
        assert "cannot be written now (is away); tried again at the next checkpoint" in capsys.readouterr().err
        take_steps(folder.path, 2)
        folder.save()
    assert {"checkpoints/step-1.json", "checkpoints/step-2.json"} <= set(bucket.contents("runs/a/"))


def test_a_store_that_is_away_when_a_run_begins_is_not_an_empty_one(bucket, output, monkeypatch):
    with open_run_folder(output, chief=True) as folder:
        folder.claim()
        take_steps(folder.path, 1)
    monkeypatch.setattr(stores, "folder_names", lambda path: [])
    with pytest.raises(OSError, match="does not list"), open_run_folder(output, chief=True):
        pass
    assert newest(staging_folder(output)) == 1


def test_a_failed_last_write_says_where_the_work_is(bucket, output, monkeypatch):
    with pytest.raises(RunFailure, match="cannot be written .*; what was done is in .*: run the same command again"):
        with open_run_folder(output, chief=True) as folder:
            folder.claim()
            take_steps(folder.path, 1)
            bucket.remove("runs/a/mirror.json")
    assert newest(staging_folder(output)) == 1


def test_other_workers_and_readers_get_copies_that_go(bucket, output, tmp_path):
    with open_run_folder(output, chief=True) as folder:
        folder.claim()
        take_steps(folder.path, 1)
        (folder.path / "logs").mkdir()
        (folder.path / "logs" / "events").write_text("x")
    with open_run_folder(output, chief=False) as worker, local_model(output) as model:
        assert newest(worker.path) == newest(model) == 1
        assert (worker.path / "logs").is_dir() and not (model / "logs").exists()
    assert not worker.path.exists() and not model.exists()
    with local_model(tmp_path) as same:
        assert same == tmp_path


def test_a_run_that_was_copied_to_a_store_by_hand_goes_on_there(bucket, output, tmp_path):
    (tmp_path / "local").mkdir()
    take_steps(tmp_path / "local", 3)
    bucket.upload(tmp_path / "local", "runs/a")
    with open_run_folder(output, chief=True) as folder:
        assert newest(folder.path) == 3
        folder.claim()
        take_steps(folder.path, 4)
    assert "checkpoints/step-4.json" in bucket.contents("runs/a/")
