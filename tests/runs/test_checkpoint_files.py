"""The files of checkpoints come, go and are chosen by the rules, without TensorFlow."""

import json

import pytest

from rethink_fr.runs.checkpoint_files import (
    CheckpointError,
    checkpoint_steps,
    choose_checkpoint,
    clear_leftovers,
    commit,
    damage,
    had_checkpoints,
    settle,
    writing_folder,
)


def write(folder, step, keep=10, content=b"values"):
    """A checkpoint as TensorFlow would write it, committed."""
    scratch = writing_folder(folder)
    (scratch / f"step-{step}.data-00000-of-00001").write_bytes(content + str(step).encode())
    (scratch / f"step-{step}.index").write_bytes(b"index")
    commit(folder, step, keep)


def never(path):
    raise AssertionError(f"{path} has a record and need not be read")


def readable(path):
    return ""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    """Three checkpoints."""
    for step in (2, 10, 9):
        write(tmp_path, step)
    return tmp_path


def test_what_is_committed_is_recorded_and_listed(folder):
    assert checkpoint_steps(folder) == [2, 9, 10]
    files = json.loads((folder / "step-9.json").read_text())["files"]
    assert files["step-9.data-00000-of-00001"]["bytes"] == 7 and len(files["step-9.index"]["sha256"]) == 64
    assert choose_checkpoint(folder, never) == (10, {})
    assert choose_checkpoint(folder, never, 2) == (2, {})
    assert "writing" not in names(folder)


def test_rotation_keeps_the_newest_and_the_list_names_them(folder):
    write(folder, 11, keep=2)
    assert checkpoint_steps(folder) == [10, 11]
    assert names(folder) == [
        "checkpoint", "step-10.data-00000-of-00001", "step-10.index", "step-10.json",
        "step-11.data-00000-of-00001", "step-11.index", "step-11.json",
    ]  # fmt: skip
    assert (folder / "checkpoint").read_text().splitlines() == [
        'model_checkpoint_path: "step-11"',
        'all_model_checkpoint_paths: "step-10"',
        'all_model_checkpoint_paths: "step-11"',
    ]
    write(folder, 3, keep=1)  # the one just written is never the one that goes
    assert checkpoint_steps(folder) == [3]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("step-10.data-00000-of-00001", b"values1", "has 7 bytes, expected 8"),
        ("step-10.data-00000-of-00001", b"Values10", "not what was written"),
        ("step-10.index", None, "No such file"),
        ("step-10.data-00000-of-00001", None, "No such file"),
    ],
)
def test_the_newest_that_is_whole_is_chosen_and_damaged_ones_are_put_aside(folder, name, content, reason):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    before = names(folder)
    choice = choose_checkpoint(folder, never)
    assert choice is not None and choice.step == 9 and reason in choice.damaged[10]
    assert names(folder) == before, "looking changes nothing"
    (said,) = settle(folder, choice)
    assert "step-10 is damaged" in said and "continuing from step 9" in said
    assert checkpoint_steps(folder) == [2, 9] and checkpoint_steps(folder / "damaged") == [10]
    assert 'model_checkpoint_path: "step-9"' in (folder / "checkpoint").read_text()
    write(folder, 10)
    (folder / "step-10.index").write_bytes(b"other")
    settle(folder, choose_checkpoint(folder, never))
    assert checkpoint_steps(folder / "damaged" / "2") == [10], "nothing is written over"


def test_damaged_checkpoints_are_never_taken_for_a_new_run(folder):
    for path in folder.glob("step-*.index"):
        path.write_bytes(b"")
    before = names(folder)
    with pytest.raises(CheckpointError, match="holds no checkpoint that is whole .*step-10: .*Nothing was changed"):
        choose_checkpoint(folder, never)
    assert names(folder) == before
    (folder / "damaged").mkdir()
    for path in folder.glob("step-*"):
        path.rename(folder / "damaged" / path.name)
    for _ in range(2):
        assert had_checkpoints(folder)
        with pytest.raises(CheckpointError, match="holds no checkpoint that is whole"):
            choose_checkpoint(folder, never)
        (folder / "checkpoint").unlink(missing_ok=True)


def test_where_there_never_was_a_checkpoint_there_is_none(tmp_path):
    assert choose_checkpoint(tmp_path / "nowhere", never) is None
    (tmp_path / "step-1.data-00000-of-00001").write_bytes(b"killed before its index was written")
    assert choose_checkpoint(tmp_path, never) is None and not had_checkpoints(tmp_path)


def test_without_a_record_the_files_are_asked(folder):
    (folder / "step-10.json").unlink()
    (folder / "step-9.json").write_text('{"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}')
    assert choose_checkpoint(folder, readable) == (10, {})
    choice = choose_checkpoint(folder, lambda path: "torn" if path.name == "step-10" else "")
    assert choice == (9, {10: "torn"})
    settle(folder, choice)
    assert damage(folder, 9, never) == "", "it has a record now"


def test_an_earlier_step_is_continued_and_the_later_ones_are_kept_aside(folder):
    said = settle(folder, choose_checkpoint(folder, never, 2), 2)
    assert len(said) == 2 and all("aside" in line and "damaged" not in line for line in said)
    assert checkpoint_steps(folder) == [2] and checkpoint_steps(folder / "aside") == [9, 10]
    with pytest.raises(CheckpointError, match="no checkpoint of step 9; those that are there are of the steps 2"):
        choose_checkpoint(folder, never, 9)


def test_a_named_step_that_is_damaged_is_refused(folder):
    (folder / "step-9.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"step-9: is damaged .*others that are there are of the steps 2, 10"):
        choose_checkpoint(folder, never, 9)


def test_what_a_killed_process_left_is_cleared_and_nothing_else(folder):
    before = names(folder)
    (folder / "step-11_temp").mkdir()
    (folder / "step-11_temp" / "part-00000-of-00001.index").write_bytes(b"")
    (folder / "writing").mkdir()
    for name in ("checkpoint.tmp0123abcd", "step-11.data-00000-of-00001", ".rfr-1-01234567.tmp"):
        (folder / name).write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    clear_leftovers(folder)
    assert names(folder) == sorted([*before, "notes.txt"])
