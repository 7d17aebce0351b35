"""Files and folders through `rethink_fr.files`: the process dies, the power goes, the disk fills, at every change."""

import pytest

from tests.attack.file_scenarios import SIZE
from tests.attack.layer import FAILING, STOPPING, contents, hidden

HERE = "tests.attack.file_scenarios"
OLD, NEW = b"old" * SIZE, b"new" * SIZE


@pytest.mark.parametrize("mode", STOPPING + FAILING)
@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_the_old_or_the_new_one(trials, tmp_path, mode, there):
    target = tmp_path / "target"

    def prepare():
        target.unlink(missing_ok=True)
        if there:
            target.write_bytes(OLD)

    seen = set()
    for ended in trials.each(prepare, f"{HERE}:write", tmp_path, target, "new", there, mode=mode):
        found = target.read_bytes() if target.exists() else None
        assert found in ({OLD, NEW} if there else {None, NEW})
        seen.add(found)
        if mode in FAILING:
            assert not hidden(tmp_path)
            if ended.code == 0:
                assert found == NEW  # what is said to be written is
            else:
                assert len(ended.output.splitlines()) == 1 and str(target) in ended.output
        trials.run(f"{HERE}:clear", tmp_path, tmp_path)
        assert set(contents(tmp_path)) <= {"target"}
    assert len(seen) == 2 or mode == "full"


@pytest.mark.parametrize("mode", STOPPING + FAILING)
@pytest.mark.parametrize("there", [True, False])
def test_a_folder_is_the_old_or_the_new_one(trials, tmp_path, mode, there):
    target = tmp_path / "target"
    names = ("a", "b", "deep/c")
    empty = {"deep": None}

    def prepare():
        if there:
            assert trials.run(f"{HERE}:fill_folder", tmp_path, target, "old").code == 0
        elif target.exists():
            for name in names:
                (target / name).unlink()
            (target / "deep").rmdir()
            target.rmdir()

    old = {**empty, **dict.fromkeys(names, OLD)} if there else None
    new = {**empty, **dict.fromkeys(names, NEW)}
    for ended in trials.each(prepare, f"{HERE}:fill_folder", tmp_path, target, "new", there, mode=mode):
        found = contents(target) if target.exists() else None
        assert found in (old, new)
        if mode in FAILING:
            assert not hidden(tmp_path)
            if ended.code == 0:
                assert found == new
        trials.run(f"{HERE}:clear", tmp_path, tmp_path)
        assert not hidden(tmp_path)


@pytest.mark.parametrize("mode", STOPPING + FAILING)
@pytest.mark.parametrize("overwrite", [True, False])
def test_no_output_of_a_command_is_half_a_file(trials, tmp_path, mode, overwrite):
    def prepare():
        for path in tmp_path.iterdir():
            path.unlink()
        if overwrite:
            assert trials.run(f"{HERE}:report", tmp_path, tmp_path, 1, True).code == 0

    for _ in trials.each(prepare, f"{HERE}:report", tmp_path, tmp_path, 2, overwrite, mode=mode):
        for name in ("1.png", "2.png"):
            found = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
            assert found in (bytes([1]) * SIZE if overwrite else None, bytes([2]) * SIZE)
        found = (tmp_path / "report.json").read_text() if (tmp_path / "report.json").exists() else None
        assert found in ('{\n "number": 1\n}\n' if overwrite else None, '{\n "number": 2\n}\n')
        if found and "2" in found:  # the report comes last
            assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes() == bytes([2]) * SIZE
