"""`restore` by a pipeline: what the local command makes, each input once, whatever goes wrong on the way."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from PIL import Image

from rethink_fr.cli import main
from rethink_fr.errors import RunFailure
from rethink_fr.files.outputs import OutputError
from rethink_fr.inference.background import background
from rethink_fr.inference.folder import restore_photos as restore_here
from rethink_fr.inference.photo_plan import plan_photos
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.scale_out import loaded
from rethink_fr.scale_out.launch import Ran, launch
from rethink_fr.scale_out.output import open_output, stamps
from tests.faces.scenes import MarkDetector
from tests.inference.photo_calls import noisy, restorer
from tests.scale_out.helpers import NO_BEAM, album, files, lines, outcomes

beam = pytest.importorskip("apache_beam", reason=NO_BEAM)

from rethink_fr.scale_out import pipeline  # noqa: E402
from rethink_fr.scale_out.inputs import list_inputs  # noqa: E402
from rethink_fr.scale_out.photos import PhotoWork, photo_items, restore_photos  # noqa: E402
from tests.scale_out.faults import FaultyPhotoWork  # noqa: E402

ALL = {f"{number}.png" for number in range(5)} | {"two.jpg", "grey.png", "same.bmp", "same.png", "none.jpg", "bad.png"}


@pytest.fixture(autouse=True)
def marks(monkeypatch) -> None:
    """Marks are what is found, a network of one line restores them, and nobody waits."""
    monkeypatch.setattr(loaded, "detector", lambda path: MarkDetector())
    monkeypatch.setattr(loaded, "restorer", lambda model, precision: restorer(noisy))
    monkeypatch.setattr(pipeline, "WAITS", (0.0, 0.0))


@pytest.fixture
def photos(tmp_path) -> Path:
    return album(tmp_path / "in")


def local(photos: Path, output: Path, **settings: Any) -> Dict[str, bytes]:
    """What the local command makes."""
    plan = plan_photos([photos], output, [], PhotoSettings("made", **settings))
    restore_here(restorer(noisy), MarkDetector(), plan, background(None, plan.settings.upscale))
    return files(output)


def at_scale(photos: Path, output: Path, overwrite: bool = False, **settings: Any) -> Ran:
    return restore_photos([photos], output, PhotoSettings("made", **settings), overwrite, "direct")[0]


def with_faults(photos: Path, output: Path, faults: Dict[str, str], times: int = 1, options: str = "") -> Ran:
    """Restore with faults; each photo is delivered so many times."""
    settings = PhotoSettings("made")
    seen = output.with_name("seen")
    seen.mkdir(exist_ok=True)
    folder = open_output(output, asdict(settings), [photos], False)
    items = list(photo_items(list_inputs([photos], output, (".png", ".jpg", ".bmp")).files, settings))
    return launch(items * times, FaultyPhotoWork(settings, faults, str(seen)), folder, "direct", options)


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 2},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"samples": 2, "face_only": True}, marks=pytest.mark.slow),
        pytest.param({"upscale": 2, "suffix": "_x"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_it_makes_what_the_local_command_makes(photos, tmp_path, settings):
    ran = at_scale(photos, tmp_path / "out", **settings)
    assert files(tmp_path / "out") == local(photos, tmp_path / "here", **settings)
    assert (ran.finished, ran.dead_letters) == (10, 1) and ran.counts["finished"] == 10
    told = outcomes(tmp_path / "out")
    assert set(told) == ALL and told.pop("bad.png").startswith("not an image") and set(told.values()) == {"finished"}


def test_a_second_call_does_nothing(photos, tmp_path, monkeypatch):
    at_scale(photos, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*g")}
    monkeypatch.setattr(PhotoWork, "infer", None)
    ran = at_scale(photos, tmp_path / "out")
    assert ran.counts == {"finished_before": 10, "dead_letters": 1} and ran.finished == 10
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*g")}
    assert set(outcomes(tmp_path / "out")) == ALL


def test_what_was_changed_lost_or_mended_is_done_again(photos, tmp_path):
    at_scale(photos, tmp_path / "out")
    Image.open(photos / "1.png").save(photos / "0.png")
    Image.open(photos / "1.png").save(photos / "bad.png")
    (tmp_path / "out" / "2.png").unlink()
    ran = at_scale(photos, tmp_path / "out")
    assert ran.counts["finished"] == 3 and ran.counts["finished_before"] == 8 and ran.dead_letters == 0
    assert lines(tmp_path / "out" / "dead_letters.jsonl") == []
    assert files(tmp_path / "out") == local(photos, tmp_path / "here")


def test_faults_that_pass_are_outlived(photos, tmp_path):
    faults = {"open 0.png": "once", "infer 1.png": "once", "finish two.jpg": "always"}
    ran = with_faults(photos, tmp_path / "out", {**faults, "infer 3.png": "always"})
    told = outcomes(tmp_path / "out")
    assert set(told) == ALL and (ran.finished, ran.dead_letters) == (8, 3)
    assert "infer of 3.png failed" in told["3.png"] and "finish of two.jpg failed" in told["two.jpg"]
    made, expected = files(tmp_path / "out"), local(photos, tmp_path / "here")
    assert made == {name: data for name, data in expected.items() if name not in ("3.png", "deep/two.jpg")}
    assert ran.counts["batches_split"] >= 1 and ran.counts["tries_again"] >= 2


@pytest.mark.parametrize("options", ["", pytest.param("--direct_runner_bundle_repeat=2", marks=pytest.mark.slow)])
def test_an_input_delivered_several_times_has_one_outcome(photos, tmp_path, options):
    ran = with_faults(photos, tmp_path / "out", {"infer 1.png": "once"}, 2, options)
    assert (ran.finished, ran.dead_letters) == (10, 1) and set(outcomes(tmp_path / "out")) == ALL
    assert files(tmp_path / "out") == local(photos, tmp_path / "here")


def test_a_delivery_that_fails_takes_nothing_from_one_that_finished(photos, tmp_path):
    settings = PhotoSettings("made")
    folder = open_output(tmp_path / "out", {}, [photos], False)
    item = next(photo_items([(photos / "1.png", Path("1.png"))], settings))
    work = FaultyPhotoWork(settings, {"finish 1.png": "again"}, str(tmp_path))
    opened = [pipeline.InWork(item, stamps(item), work.infer(work.load(), [work.open(item)])[0]) for _ in range(2)]
    said = [[outcome.said for outcome in pipeline._Finish(work, folder).process(one)] for one in opened]
    assert said[0][0]["error"] is None and said[1][0]["outputs"] == ["1.png"]
    assert folder.finished(item) is not None


def test_a_model_that_does_not_work_at_all_makes_no_dead_letters(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(FaultyPhotoWork, "probe", lambda self, model: 1 / 0)
    with pytest.raises(RunFailure, match="division by zero.*run the same command again"):
        with_faults(photos, tmp_path / "out", {"infer 3.png": "always"})
    ran = with_faults(photos, tmp_path / "out", {})
    assert (ran.finished, ran.dead_letters) == (10, 1)
    assert files(tmp_path / "out") == local(photos, tmp_path / "here")


@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_call_and_the_next_goes_on(photos, tmp_path, monkeypatch):
    from rethink_fr.files import writing

    write = writing.atomic_file

    def full(path: Path, **options: Any) -> Any:
        if path.name == "grey.png":
            raise writing.WriteError(f"{path}: cannot be written (No space left on device)")
        return write(path, **options)

    monkeypatch.setattr(writing, "atomic_file", full)
    with pytest.raises(RunFailure, match="No space left"):
        at_scale(photos, tmp_path / "out")
    monkeypatch.setattr(writing, "atomic_file", write)
    assert at_scale(photos, tmp_path / "out").finished == 10
    assert files(tmp_path / "out") == local(photos, tmp_path / "here")


@pytest.mark.slow
def test_a_runner_that_tries_bundles_again(photos, tmp_path, monkeypatch):
    """Beam's other runner in this process does so when a step raises; here for a model that is broken once."""
    from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

    from rethink_fr.scale_out import runners

    monkeypatch.setitem(runners.RUNNERS, "direct", BundleBasedDirectRunner())
    monkeypatch.setattr(FaultyPhotoWork, "probe", fails_once := FailsOnce())
    ran = with_faults(photos, tmp_path / "out", {"infer 3.png": "always"})
    assert fails_once.calls > 1 and (ran.finished, ran.dead_letters) == (9, 2)
    assert set(outcomes(tmp_path / "out")) == ALL


class FailsOnce:
    calls = 0

    def __call__(self, *arguments: Any) -> None:
        FailsOnce.calls += 1
        if FailsOnce.calls == 1:
            raise RuntimeError("the worker is broken")


@pytest.mark.slow
def test_all_is_done_anew_if_asked_for(photos, tmp_path):
    at_scale(photos, tmp_path / "out")
    assert at_scale(photos, tmp_path / "out", overwrite=True, seed=1).counts["finished"] == 10


def test_folders_of_other_calls_and_of_others_are_left_alone(photos, tmp_path):
    open_output(tmp_path / "out", {"command": "restore", **asdict(PhotoSettings("made"))}, [photos], False)
    with pytest.raises(OutputError, match=r"of a call with other settings \(seed\)"):
        at_scale(photos, tmp_path / "out", seed=1)
    with pytest.raises(OutputError, match="holds the input"):
        at_scale(photos, photos.parent)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        at_scale(photos, tmp_path / "others")


@pytest.mark.slow
def test_an_output_folder_below_the_input_is_no_input(photos, tmp_path):
    for _ in range(2):
        assert at_scale(photos, photos / "restored").finished == 10


def test_aligned_faces_by_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rethink_fr.inference.loading.load_restorer", lambda *arguments: restorer(noisy))
    folder = tmp_path / "faces"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (6, 40, 32, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    Image.fromarray(pictures[0]).save(folder / "0.jpg")  # would be written as 0.png too
    (folder / "bad.png").write_bytes(b"")
    arguments = ["restore", str(folder), "--aligned", "--model", "made", "--samples", "2"]
    assert main([*arguments, "--output", str(tmp_path / "here")]) == 1
    capsys.readouterr()
    assert main([*arguments, "--output", str(tmp_path / "out"), "--runner", "direct"]) == 1
    told = capsys.readouterr()
    assert "6 of 8 restored" in told.out and "dead_letters 2" in told.out
    assert "bad.png: the file is empty" in told.err and "is written under its name" in told.err
    assert files(tmp_path / "out") == files(tmp_path / "here")


@pytest.mark.slow
def test_photos_on_an_object_store(photos, tmp_path, bucket):
    bucket.upload(photos, "in")
    here = local(photos, tmp_path / "here")
    for _ in range(2):
        ran = at_scale(Path(f"{bucket.address}/in"), Path(f"{bucket.address}/out"))
        assert (ran.finished, ran.dead_letters) == (10, 1)
    assert ran.counts == {"finished_before": 10, "dead_letters": 1}
    stored = bucket.contents("out/")
    assert {name: data for name, data in stored.items() if ".json" not in name} == here
