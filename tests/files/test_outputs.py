"""One rule for what may be written where."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.files.outputs import OutputError, Outputs, check_folder
from rethink_fr.files.writing import LongNameError, WriteError


def test_an_input_is_never_an_output_however_it_is_reached(tmp_path):
    original = tmp_path / "in" / "a.png"
    original.parent.mkdir()
    original.write_bytes(b"original")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "soft.png").symlink_to(original)
    os.link(original, tmp_path / "hard.png")
    for overwrite in (False, True):
        outputs = Outputs([original], overwrite)
        for path in ("in/a.png", "link/a.png", "link/../in/a.png", "soft.png", "hard.png"):
            with pytest.raises(OutputError, match="input .*a.png, which would be overwritten"):
                outputs.write_bytes(tmp_path / path, b"new")
    assert original.read_bytes() == b"original" and (tmp_path / "soft.png").is_symlink()


def test_what_is_there_already_is_replaced_only_if_told_to(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    for name in ("a.png", "dangling.png"):
        with pytest.raises(OutputError, match="--overwrite"):
            Outputs([]).write_bytes(tmp_path / name, b"new")
    assert (tmp_path / "a.png").read_bytes() == b"old"
    Outputs([], overwrite=True).write_bytes(tmp_path / "a.png", b"new")
    assert (tmp_path / "a.png").read_bytes() == b"new"


def test_two_outputs_never_share_a_path_and_the_message_names_both(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    outputs = Outputs([], overwrite=True)
    outputs.claim(tmp_path / "real/a.png", of="photos/a.jpg")
    for path in ("real/a.png", "link/a.png", "real/../real/a.png"):
        with pytest.raises(OutputError, match=r"photos/a\.jpg is written as a\.png already"):
            outputs.claim(tmp_path / path)
    with pytest.raises(OutputError, match=r"photos/a\.jpg is written as a\.png, which is a folder here"):
        outputs.claim(tmp_path / "link/a.png/b.png")
    outputs.claim(tmp_path / "c.png/d.png")
    with pytest.raises(OutputError, match="below a folder of this name"):
        outputs.claim(tmp_path / "c.png")


def test_outputs_of_one_input_are_claimed_together_or_not_at_all(tmp_path):
    outputs = Outputs([])
    outputs.claim(tmp_path / "b.png", of="photos/b.jpg")
    with pytest.raises(OutputError, match="photos/b.jpg is written as b.png already"):
        outputs.claim_all([tmp_path / "a.png", tmp_path / "b.png"], of="photos/a.jpg")
    outputs.claim_all([tmp_path / "a.png", tmp_path / "c.png"], of="photos/c.jpg")  # a.png is still free
    with pytest.raises(OutputError, match="photos/c.jpg is written as a.png already"):
        outputs.claim(tmp_path / "a.png")


def test_an_output_may_be_written_again_by_the_call_that_made_it(tmp_path):
    outputs = Outputs([])
    outputs.write_text(tmp_path / "log", "1")
    outputs.write_text(tmp_path / "log", "2")
    assert (tmp_path / "log").read_text() == "2"


def test_files_in_the_place_of_folders_and_folders_in_that_of_files_are_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        Outputs([]).check(tmp_path / "file/deep/a.png")
    with pytest.raises(OutputError, match="is a folder"):
        Outputs([], overwrite=True).check(tmp_path / "folder.png")
    (tmp_path / "linked.png").symlink_to("folder.png")
    with pytest.raises(OutputError, match="is a folder"):
        Outputs([], overwrite=True).check(tmp_path / "linked.png")
    Outputs([]).check(tmp_path / ("n" * 255))
    with pytest.raises(LongNameError, match="256 bytes"):
        Outputs([]).check(tmp_path / ("n" * 256))


def test_json_keeps_names_that_are_not_unicode(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    Outputs([]).write_json(tmp_path / "a.json", [name])
    assert os.fsencode(json.loads((tmp_path / "a.json").read_text("utf-8"))[0]) == b"caf\xe9.png"


def test_leftovers_of_killed_processes_are_cleared(tmp_path):
    (tmp_path / ".rfr-4194305-01234567.tmp").touch()  # no process has this number: the largest is 4194304
    Outputs([]).write_bytes(tmp_path / "a", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


PARTS = st.lists(st.sampled_from(["a.png", "b.png", "real", "link", "..", "."]), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(inputs=st.lists(PARTS, max_size=2), claims=st.lists(PARTS, max_size=8), overwrite=st.booleans())
def test_no_sequence_of_writes_meets_an_input_or_another_output(tmp_path_factory, inputs, claims, overwrite):
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    for name in ("a.png", "real/a.png"):
        (folder / name).write_bytes(b"original")
    os.link(folder / "a.png", folder / "real/b.png")
    read = [folder.joinpath(*parts) for parts in inputs]
    before = {path: path.read_bytes() for path in read if path.is_file()}
    outputs = Outputs(read, overwrite)
    made = {}
    for number, parts in enumerate(claims):
        path = folder.joinpath(*parts)
        there = path.exists()
        try:
            outputs.claim(path, of=str(number))
            outputs.write_bytes(path, b"%d" % number)
        except (OutputError, WriteError):  # the latter for a path such as "a.png/../b.png" that only looks like one
            continue
        assert overwrite or not there
        assert os.path.realpath(path) not in made
        made[os.path.realpath(path)] = number
    for path, data in before.items():
        assert path.read_bytes() == data
    for path, number in made.items():
        with open(path, "rb") as file:
            assert file.read() == b"%d" % number


def test_a_folder_is_replaced_only_by_its_kind_and_never_with_an_input_in_it(tmp_path):
    parts = ("saved_model.pb", "variables")
    folder = tmp_path / "model"
    check_folder(folder, [], False, parts)
    folder.mkdir()
    check_folder(folder, [], False, parts)  # empty
    (folder / "variables").mkdir()
    with pytest.raises(OutputError, match="is not empty; .*--overwrite"):
        check_folder(folder, [], False, parts)
    check_folder(folder, [], True, parts)
    (folder / "variables" / "x").touch()
    for given_path in (folder, folder / "variables" / "x"):
        with pytest.raises(OutputError, match="holds the input"):
            check_folder(folder, [given_path], True, parts)
    (folder / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"notes\.txt, which this command does not make"):
        check_folder(folder, [], True, parts)
    (tmp_path / "link").symlink_to(folder)
    for path in (tmp_path / "link", folder / "notes.txt"):
        with pytest.raises(OutputError, match="is a link|is a file"):
            check_folder(path, [], True, parts)
