"""Many photos: nothing lost, one bad one stops nothing, an ended call goes on where it was."""

import json
import os
import threading

import numpy as np
import pytest
from PIL import Image

from rethink_fr.files.locks import LockedError
from rethink_fr.inference.photo_plan import plan_photos
from rethink_fr.inference.photo_report import PhotoSettings
from tests.attack.zoo import make_zoo
from tests.faces.scenes import MarkDetector
from tests.inference.photo_calls import blue, call, names, noisy, photo, pixels, restorer, same


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def report_of(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


# --- names ---


def test_a_folder_keeps_its_names_in_any_script(tmp_path):
    for name in ("a.png", "deep/er/ü.jpg", "子供/家族 写真.png", os.fsdecode(b"caf\xe9.png"), "new\nline.png"):
        photo(tmp_path / "in" / name)
    report = call([tmp_path / "in"], tmp_path / "out")
    assert not report.failed and names(tmp_path / "out") == sorted([*names(tmp_path / "in"), "report.json"])
    for file in report_of(tmp_path / "out")["files"]:
        assert all((tmp_path / "out" / name).is_file() for name in file["outputs"])


def test_equal_names_in_two_folders_get_numbers(tmp_path):
    for folder, left in (("a", 20), ("b", 30)):
        photo(tmp_path / folder / "me.png", [(left, 30, 40)])
    photo(tmp_path / "b" / "me.bmp", [(40, 30, 40)])
    report = call([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    outputs = {os.path.relpath(file.input, tmp_path): file.outputs for file in report.files}
    assert outputs == {"a/me.png": ("me.png",), "b/me.bmp": ("me_2.png",), "b/me.png": ("me_3.png",)}
    boxes = [round(file.faces[0].box[0]) for file in sorted(report.files, key=lambda file: file.outputs)]
    assert boxes == [20, 40, 30]


def test_files_of_other_kinds_are_counted_and_listed(tmp_path):
    photo(tmp_path / "in" / "a.png")
    for name in ("note.txt", "page.html", "deep/other.txt", ".hidden.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    report = call([tmp_path / "in"], tmp_path / "out")
    skipped = [os.path.relpath(name, tmp_path / "in") for name in report.skipped]
    assert skipped == ["deep/other.txt", "note.txt", "page.html"]
    assert "3 files that are no pictures skipped (2 .txt, 1 .html)" in report.summary()


def test_a_folder_without_photos_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"holds no photos or clips; expected files ending in \.jpg"):
        call([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- nothing is lost ---


def test_a_photo_without_a_face_is_copied_byte_for_byte(tmp_path):
    given = photo(tmp_path / "a.jpg", [])
    (file,) = call([given], tmp_path / "out").files
    assert file.copied and file.faces == () and "no face was found" in file.notes
    assert (tmp_path / "out" / "a.jpg").read_bytes() == given.read_bytes()
    (file,) = call([given], tmp_path / "two", upscale=2, extension="png").files
    assert not file.copied and Image.open(tmp_path / "two" / "a.png").size == (240, 200)
    bitmap = photo(tmp_path / "b.bmp", [])
    (file,) = call([bitmap], tmp_path / "three").files
    assert file.outputs == ("b.bmp",) and (tmp_path / "three" / "b.bmp").read_bytes() == bitmap.read_bytes()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("output", ["in", "link", "in/../in", "hard"])
def test_the_originals_are_never_written_over(tmp_path, output, overwrite):
    photo(tmp_path / "in" / "sub" / "a.png")
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "hard" / "sub").mkdir(parents=True)
    os.link(tmp_path / "in" / "sub" / "a.png", tmp_path / "hard" / "sub" / "a.png")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="would be overwritten"):
        call([tmp_path / "in"], tmp_path / output, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_results_may_lie_beside_the_originals_under_other_names(tmp_path):
    given = photo(tmp_path / "in" / "a.png")
    before = given.read_bytes()
    call([tmp_path / "in"], tmp_path / "in", suffix="_restored")
    assert names(tmp_path / "in") == ["a.png", "a_restored.png", "report.json"] and given.read_bytes() == before
    photo(tmp_path / "in" / "b.png")
    report = call([tmp_path / "in"], tmp_path / "in", suffix="_restored")  # what it made is no input
    assert [file.outputs for file in report.files] == [("a_restored.png",), ("b_restored.png",)]


def test_an_output_folder_below_the_input_is_no_input(tmp_path):
    photo(tmp_path / "in" / "a.png")
    for _ in range(2):
        report = call([tmp_path / "in"], tmp_path / "in" / "out", overwrite=True)
        assert [file.outputs for file in report.files] == [("a.png",)]


def test_files_of_others_are_not_replaced(tmp_path):
    given = photo(tmp_path / "a.png")
    other = photo(tmp_path / "out" / "a.png", [])
    before = other.read_bytes()
    with pytest.raises(ValueError, match="a.png: is there already; choose another --output, or add --overwrite"):
        call([given], tmp_path / "out")
    assert other.read_bytes() == before and names(tmp_path / "out") == ["a.png"]
    call([given], tmp_path / "out", overwrite=True)
    assert other.read_bytes() != before


def test_a_report_of_another_kind_is_not_replaced(tmp_path):
    given = photo(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    for text in ("{}", "no JSON", '{"settings": {"model": "x"}}', "[]"):
        (tmp_path / "out" / "report.json").write_text(text)
        with pytest.raises(ValueError, match="report.json: is there already"):
            call([given], tmp_path / "out")
        assert (tmp_path / "out" / "report.json").read_text() == text


def test_a_file_of_the_model_is_an_input(tmp_path):
    given = photo(tmp_path / "a.png")
    model = photo(tmp_path / "model" / "a.png")
    with pytest.raises(ValueError, match="the input .*model/a.png"):
        call([given], tmp_path / "model", overwrite=True, reads=[model])


# --- one bad one stops nothing ---


@pytest.mark.filterwarnings("ignore:Image size")
def test_what_cannot_be_read_is_told_and_the_rest_is_done(tmp_path):
    zoo = make_zoo(tmp_path / "zoo")
    for name in zoo.good:
        photo(zoo.folder / name)
    report = call([zoo.folder], tmp_path / "out")
    found = {os.path.relpath(file.input, zoo.folder): file.error for file in report.files}
    assert {name for name, error in found.items() if error} == set(zoo.bad)
    assert {name for name, error in found.items() if not error} == set(zoo.good)
    assert sum(name.endswith(".png") for name in names(tmp_path / "out")) == len(zoo.good)
    assert f"{len(zoo.good)} of {len(found)} photos done" in report.summary()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_photo_that_may_not_be_read_is_told(tmp_path):
    photo(tmp_path / "in" / "a.png")
    os.chmod(photo(tmp_path / "in" / "b.png"), 0)
    report = call([tmp_path / "in"], tmp_path / "out")
    assert [file.error for file in report.files] == [None, "Permission denied"]


def test_a_photo_too_large_for_its_format_is_told(tmp_path):
    photo(tmp_path / "in" / "a.png", [], size=(5000, 10))
    photo(tmp_path / "in" / "b.png")
    report = call([tmp_path / "in"], tmp_path / "out", extension="webp", upscale=4)
    assert "expected at most 16383 a side in WEBP" in report.files[0].error and report.files[1].error is None


def test_a_photo_that_takes_too_much_memory_is_told(tmp_path, monkeypatch):
    from rethink_fr.inference import photo as module

    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "b.png")
    calls = []

    def paste(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError

    monkeypatch.setattr(module, "paste", paste)
    report = call([tmp_path / "in"], tmp_path / "out")
    assert "more memory than there is" in report.files[0].error and report.files[1].error is None


# --- batches ---


def test_faces_of_several_photos_are_restored_together(tmp_path):
    for number in range(6):
        photo(tmp_path / "in" / f"{number}.png", [(10, 20, 40), (70, 30, 40)][: 1 + number % 2])
    batches = []

    def counted(images):
        batches.append(len(images))
        return blue(images)

    call([tmp_path / "in"], tmp_path / "out", counted)
    assert sum(batches) == 9 and max(batches) == 4 and len(batches) <= 4


def test_photos_in_a_folder_become_what_they_become_alone(tmp_path):
    for number in range(5):
        photo(tmp_path / "in" / f"{number}.png", [(10 + 3 * number, 20, 40)])
    call([tmp_path / "in"], tmp_path / "all", noisy)
    for number in range(5):
        call([tmp_path / "in" / f"{number}.png"], tmp_path / "alone" / str(number), noisy)
        alone = pixels(tmp_path / "alone" / str(number) / f"{number}.png")
        np.testing.assert_array_equal(alone, pixels(tmp_path / "all" / f"{number}.png"))


def test_large_photos_are_not_collected(tmp_path, monkeypatch):
    from rethink_fr.inference import folder

    monkeypatch.setattr(folder, "_HELD", 100 * 120)
    for number in range(3):
        photo(tmp_path / "in" / f"{number}.png")
    batches = []

    def counted(images):
        batches.append(len(images))
        return blue(images)

    call([tmp_path / "in"], tmp_path / "out", counted)
    assert batches == [1, 1, 1]


# --- continuing ---


@pytest.fixture
def album(tmp_path):
    for number in range(6):
        photo(tmp_path / "in" / f"{number}.png", [(10 + number, 20, 40), (70, 30, 40)])
    return tmp_path / "in"


def interrupted(after):
    """A network that the user interrupts at its batch number `after`."""
    calls = []

    def function(images):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return blue(images)

    return function


def test_an_interrupt_leaves_whole_files_and_a_report_and_the_next_call_goes_on(album, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        call([album], out, interrupted(1))
    report = report_of(out)
    done = [name for file in report["files"] for name in file["outputs"]]
    assert report["inputs"] == 6 and done == ["0.png", "1.png"]
    before = contents(out)
    detector = MarkDetector()
    report = call([album], out, detector=detector)
    assert len(report.files) == 6 and not report.failed
    assert [file.outputs for file in report.files] == [(f"{number}.png",) for number in range(6)]
    after = contents(out)
    assert all(after[out / name] == before[out / name] for name in done)  # not written again
    assert names(out) == [*(f"{number}.png" for number in range(6)), "report.json"]
    call([album], tmp_path / "whole")
    for number in range(6):
        assert (out / f"{number}.png").read_bytes() == (tmp_path / "whole" / f"{number}.png").read_bytes()


def test_a_finished_call_is_not_repeated_and_new_photos_are_added(album, tmp_path):
    out = tmp_path / "out"
    call([album], out)
    before = contents(out)
    detector = MarkDetector()
    assert len(call([album], out, detector=detector).files) == 6 and detector.given == []
    photo(album / "00.png")
    report = call([album], out, detector=detector)
    assert len(report.files) == 7 and detector.given != []
    after = contents(out)
    assert all(after[path] == value for path, value in before.items() if path.name != "report.json")


def test_what_was_changed_or_lost_is_done_again(album, tmp_path):
    out = tmp_path / "out"
    call([album], out)
    (out / "2.png").unlink()
    photo(album / "3.png", [(5, 5, 40)])
    before = contents(out)
    report = call([album], out, same)  # with another network, to see what it touches
    assert len(report.files) == 6
    after = contents(out)
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert changed == {"2.png", "3.png", "report.json"}


def test_what_failed_is_tried_again(album, tmp_path):
    (album / "3.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert len(call([album], out).failed) == 1
    photo(album / "3.png")
    report = call([album], out)
    assert not report.failed and len(report.files) == 6


def test_other_settings_are_refused_and_named(album, tmp_path):
    call([album], tmp_path / "out")
    with pytest.raises(ValueError, match="report.json: of a call with seed 0, now 1; choose another --output"):
        call([album], tmp_path / "out", seed=1)
    report = call([album], tmp_path / "out", overwrite=True, seed=1)
    assert report.settings.seed == 1


def test_photos_of_an_earlier_call_stay_in_the_report_and_keep_their_names(tmp_path):
    one, other = photo(tmp_path / "a" / "me.png"), photo(tmp_path / "b" / "me.png", [(50, 30, 40)])
    call([one], tmp_path / "out")
    first = (tmp_path / "out" / "me.png").read_bytes()
    report = call([other], tmp_path / "out")
    assert [file.outputs for file in report.files] == [("me.png",), ("me_2.png",)]
    assert (tmp_path / "out" / "me.png").read_bytes() == first


def test_a_killed_call_goes_on_too(album, tmp_path):
    """What a process leaves that had no time to say anything: no report, a line cut short, an output not noted."""
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        call([album], out, interrupted(1))
    (out / "report.json").unlink()
    journal = out / "report.unfinished.jsonl"
    begun = {"begun": str(album / "2.png"), "outputs": ["2.png"]}
    with open(journal, "a", encoding="utf-8") as file:
        file.write(json.dumps(begun) + "\n" + '{"done": {"input": "')
    (out / "2.png").write_bytes(b"half of it")
    report = call([album], out)
    assert not report.failed and len(report.files) == 6 and not journal.exists()
    assert Image.open(out / "2.png").size == (120, 100)


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png"])
def test_a_report_that_someone_changed_lets_nothing_outside_be_replaced(album, tmp_path, name):
    out = tmp_path / "out"
    call([album], out)
    report = report_of(out)
    report["files"][0]["outputs"] = [name]
    (out / "report.json").write_text(json.dumps(report))
    (out / "0.png").unlink()
    outside = photo(tmp_path / "outside.png")
    before = outside.read_bytes()
    assert not call([album], out).failed
    assert outside.read_bytes() == before and (out / "0.png").is_file()


@pytest.mark.parametrize("change", [{"faces": 3}, {"notes": None}, {"size": 5}, {"new": 1}, {"outputs": [7]}])
def test_an_entry_that_is_none_of_ours_is_done_again_or_refused(album, tmp_path, change):
    out = tmp_path / "out"
    call([album], out)
    report = report_of(out)
    report["files"][0].update(change)
    (out / "report.json").write_text(json.dumps(report))
    if "outputs" in change:  # then nothing says that 0.png may be replaced
        with pytest.raises(ValueError, match="0.png: is there already"):
            call([album], out)
    else:
        assert len(call([album], out).files) == 6


def test_two_calls_do_not_work_in_one_folder(album, tmp_path):
    started, go_on = threading.Event(), threading.Event()

    def waiting(images):
        started.set()
        go_on.wait(20)
        return blue(images)

    thread = threading.Thread(target=call, args=([album], tmp_path / "out", waiting))
    thread.start()
    assert started.wait(20)
    try:
        with pytest.raises(LockedError, match="this folder is in use by process"):
            call([album], tmp_path / "out")
    finally:
        go_on.set()
        thread.join()
    assert report_of(tmp_path / "out")["inputs"] == 6


# --- before the work ---


def test_samples_of_a_network_without_noise_are_refused(album, tmp_path):
    with pytest.raises(ValueError, match="gives one deterministic answer, so --samples 2 makes no sense"):
        call([album], tmp_path / "out", samples=2)


def test_planning_loads_nothing_and_makes_nothing(album, tmp_path):
    plan = plan_photos([album], tmp_path / "out", [], PhotoSettings(model="m"))
    assert len(plan.left) == 6 and not (tmp_path / "out").exists()
    assert restorer(blue).resolution == 32
