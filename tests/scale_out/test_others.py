"""`prepare` and `evaluate` by a pipeline: the bytes and the numbers of the local commands."""

from __future__ import annotations

import functools
import json
import tarfile
from pathlib import Path
from typing import Dict

import lmdb
import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.data.prepare import prepare
from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.needs import Sources
from rethink_fr.pictures.files import encode_png, write_image
from tests.evaluation.tiny_networks import tiny_networks
from tests.scale_out.helpers import NO_BEAM

beam = pytest.importorskip("apache_beam", reason=NO_BEAM)

from rethink_fr.errors import RunFailure  # noqa: E402
from rethink_fr.scale_out import measuring, pipeline, preparing  # noqa: E402

COUNT = 23


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "WAITS", (0.0, 0.0))


@pytest.fixture
def small(monkeypatch) -> None:
    """Blocks of 4 images and shards of 7, so that shards begin and end within blocks."""
    monkeypatch.setattr(preparing, "_IMAGES", 4)
    monkeypatch.setattr(preparing, "_SHARD_IMAGES", 7)
    monkeypatch.setattr(preparing, "prepare", lambda *arguments: prepare(*arguments, shard_size=7))


@pytest.fixture
def originals(tmp_path) -> Path:
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        side = 30 + 5 * (number % 3)
        write_image(tmp_path / "in" / f"{number:02d} ü.png", generator.integers(0, 256, (side, 40, 3), np.uint8))
    for number in (0, 5, 6):
        (tmp_path / "in" / f"{number:02d} bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    return tmp_path / "in"


def contents(folder: Path) -> Dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_prepared_folders_are_equal_to_the_byte(small, originals, tmp_path, capsys):
    expected = prepare(originals, tmp_path / "here", 32, shard_size=7, progress=False)
    arguments = ["prepare", str(originals), "--output", str(tmp_path / "out"), "--size", "32", "--runner", "direct"]
    for _ in range(2):
        assert main(arguments) == 1
        told = capsys.readouterr()
        assert f"{COUNT} images in 4 shards" in told.out and told.err.count("bad.jpg: ") == 3
        assert contents(tmp_path / "out") == contents(tmp_path / "here")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "in", "out"]
    assert expected.shards == 4


def test_archives_are_read_by_pipelines_too(small, originals, tmp_path):
    with tarfile.open(originals / "more.tar", "w") as tar:
        tar.add(originals / "01 ü.png", "x/1.png")
        tar.add(originals / "02 ü.png", "x/2.png")
    prepare(originals, tmp_path / "here", 32, shard_size=7, progress=False)
    assert preparing.prepare_by_pipeline(originals, tmp_path / "out", 32, "direct").written == COUNT + 2
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


@pytest.mark.slow
def test_an_lmdb_and_an_object_store(small, originals, tmp_path, bucket):
    with lmdb.open(str(tmp_path / "faces.lmdb"), map_size=1 << 24) as database, database.begin(write=True) as write:
        for number, picture in enumerate(np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)):
            write.put(f"{number}".encode(), encode_png(picture))
    bucket.upload(originals, "in")
    for given, name in ((tmp_path / "faces.lmdb", "lmdb"), (Path(f"{bucket.address}/in"), "objects")):
        prepare(given, tmp_path / name, 32, shard_size=7, progress=False)
        made = preparing.prepare_by_pipeline(given, Path(f"{bucket.address}/{name}"), 32, "direct")
        assert bucket.contents(f"{name}/") == contents(tmp_path / name) and not made.unchanged
        assert preparing.prepare_by_pipeline(given, Path(f"{bucket.address}/{name}"), 32, "direct").unchanged


def test_a_failed_call_goes_on_with_the_blocks_that_are_there(small, originals, tmp_path, monkeypatch):
    made, one = [], preparing.prepare_one

    def fails(files, name, size):
        if name == "12 ü.png":
            raise RuntimeError("out of luck")
        made.append(name)
        return one(files, name, size)

    monkeypatch.setattr(preparing, "prepare_one", fails)
    with pytest.raises(RunFailure, match="out of luck"):
        preparing.prepare_by_pipeline(originals, tmp_path / "out", 32, "direct")
    assert not (tmp_path / "out").exists() and (tmp_path / "out.unfinished").exists()
    monkeypatch.setattr(preparing, "prepare_one", lambda *arguments: made.append(arguments[1]) or one(*arguments))
    made.clear()
    preparing.prepare_by_pipeline(originals, tmp_path / "out", 32, "direct")
    prepare(originals, tmp_path / "here", 32, shard_size=7, progress=False)
    assert len(made) == 4 and contents(tmp_path / "out") == contents(tmp_path / "here")


@pytest.fixture
def faces(tmp_path, monkeypatch) -> Path:
    """Folders clean/ and restored/ of seven pictures, one of them broken; networks of one line measure them."""
    generator = np.random.default_rng(0)
    for number in range(7):
        clean = generator.integers(40, 200, (96, 96, 3))
        write_image(tmp_path / "clean" / f"{number}.png", clean.astype(np.uint8))
        noisy = clean + generator.normal(0, 6 + number, clean.shape)
        write_image(tmp_path / "restored" / f"{number}.png", noisy.clip(0, 255).astype(np.uint8))
    (tmp_path / "restored" / "3.png").write_bytes(b"broken")
    own = Sources.loaders
    tiny = {need: functools.partial(NETWORKS.get, need) for need in NETWORKS}
    monkeypatch.setattr(Sources, "loaders", lambda self: {**own(self), **tiny})
    monkeypatch.chdir(tmp_path)
    return tmp_path


NETWORKS = tiny_networks()


def test_evaluations_are_equal(faces, capsys):
    arguments = ["evaluate", "--restored", "restored", "--reference", "clean", "--k", "2", "--metrics"]
    arguments += ["psnr,ssim,fid,precision,recall,deg,lpips"]
    assert main([*arguments, "--output", "here.json"]) == 1
    printed = capsys.readouterr()
    for _ in range(2):
        options = ["--runner", "direct", "--work", "work", "--overwrite"]
        assert main([*arguments, "--output", "out.json", *options]) == 1
        assert capsys.readouterr().out.replace("out.json", "here.json") == printed.out
        assert json.loads(Path("out.json").read_text()) == json.loads(Path("here.json").read_text())
    work = json.loads(Path("work/report.json").read_text())
    assert (work["finished"], work["dead_letters"]) == (6, 1)


def test_features_come_back_to_the_bit(faces):
    found = []

    def spied(*arguments):
        found.append(measuring.PipelineMeasuring(Sources(), "ours", "direct")(*arguments))
        found.append(measuring_here(*arguments))
        return found[0]

    from rethink_fr.evaluation.measuring import measure as measuring_here

    evaluate("restored", "clean", metrics=["fid", "deg"], measuring=spied, progress=False)
    for here, there in zip(*(one.features_of("restored").items() for one in found)):
        assert here[0] == there[0] and here[1].dtype == there[1].dtype
        np.testing.assert_array_equal(here[1], there[1])


@pytest.mark.slow
def test_an_evaluation_of_an_object_store(faces, bucket, capsys):
    for name in ("clean", "restored"):
        bucket.upload(faces / name, name)
    arguments = ["evaluate", "--metrics", "psnr,fid", "--output", "out.json", "--overwrite", "--runner", "direct"]
    assert main([*arguments, "--restored", "restored", "--reference", "clean"]) == 1
    here = json.loads(Path("out.json").read_text())
    places = ["--restored", f"{bucket.address}/restored", "--reference", f"{bucket.address}/clean"]
    assert main([*arguments, *places, "--work", f"{bucket.address}/work"]) == 1
    there = json.loads(Path("out.json").read_text())
    assert here["metrics"] == there["metrics"] and here["images"] == there["images"] == 6
