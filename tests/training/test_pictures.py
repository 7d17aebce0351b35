"""A folder that changes while a run is interrupted: the run keeps its pictures, and held-out ones stay held out."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import DataConfig
from rethink_fr.data.pipeline import read_in_graph
from rethink_fr.data.prepare import prepare
from rethink_fr.data.sources.manifest import DamagedRecordsError
from rethink_fr.errors import RunFailure
from rethink_fr.pictures.files import UnreadableImage, write_image
from rethink_fr.restorer.system import build as build_restorer
from rethink_fr.runs.loading import load_average
from rethink_fr.runs.picture_lists import PictureListError, RunLists, read_lists
from rethink_fr.training.pictures import keep_list, open_run_pictures
from rethink_fr.training.run import told_plainly, train
from tests.training.helpers import replace, small_config

COUNT, HELD_OUT = 12, 3


def picture(number):
    return np.full((16, 16, 3), number, np.uint8)


@pytest.fixture
def photos(tmp_path):
    for number in range(COUNT):
        write_image(tmp_path / "photos" / f"{number:02d}.png", picture(number))
    return tmp_path / "photos"


def data(folder, validation="holdout"):
    return DataConfig(train=str(folder), validation=str(validation), validation_images=HELD_OUT)


def start(config, run, strategy=None):
    """What `train` does with the pictures of a run, each time it is called."""
    pictures = open_run_pictures(config, 16, run)
    run.mkdir(exist_ok=True)
    keep_list(pictures, run, strategy or tf.distribute.get_strategy(), chief=True)
    return pictures


def numbers(source):
    return [int(source.read(index)[0, 0, 0]) for index in range(len(source))]


def test_a_changed_folder_moves_nothing(photos, tmp_path, capsys):
    first = start(data(photos), tmp_path / "run")
    assert numbers(first.train) == list(range(9)) and numbers(first.validation) == [9, 10, 11]
    before = (tmp_path / "run" / "pictures.json").read_bytes()
    for name in ("00a.png", "99.png"):  # either would move a held-out picture into training
        write_image(photos / name, picture(50))
    (photos / "02.png").unlink()
    (photos / "04.png").write_bytes(b"")
    write_image(photos / "06.png", picture(60))
    (photos / "10.png").unlink()
    capsys.readouterr()
    second = start(data(photos), tmp_path / "run")
    assert numbers(second.train) == [0, 1, 3, 3, 5, 5, 60, 7, 8]
    assert [int(second.validation.read(index)[0, 0, 0]) for index in (0, 2)] == [9, 11]
    with pytest.raises(UnreadableImage, match=r"10\.png"):
        second.validation.read(1)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"{photos}: 2 new since this run started, not used by it: 00a.png, 99.png",
        f"{photos}: 2 gone or unreadable, replaced by the next ones: 02.png (No such file or directory), "
        "04.png (the file is empty)",
        f"{photos}: 1 changed since this run started, used as now: 06.png",
        f"{photos}: 1 held out and gone or unreadable, validated without: 10.png (No such file or directory)",
    ]
    assert (tmp_path / "run" / "pictures.json").read_bytes() == before


def test_a_portion_of_the_training_pictures_is_spread_over_them_and_kept(photos, tmp_path, capsys):
    third = dataclasses.replace(data(photos), portion=1 / 3)
    for _ in range(2):  # a new run, and the same one continued
        pictures = start(third, tmp_path / "run")
        assert numbers(pictures.train) == [0, 3, 6] and numbers(pictures.validation) == [9, 10, 11]
    assert "3 of its 9 pictures are trained on (data.portion)" in capsys.readouterr().err
    assert numbers(start(dataclasses.replace(third, portion=0.01), tmp_path / "one").train) == [0]


def test_a_held_out_picture_does_not_get_into_training_under_another_name(photos, tmp_path):
    start(data(photos), tmp_path / "run")
    for number in reversed(range(COUNT)):  # as when a picture is put in front and all are numbered anew
        os.rename(photos / f"{number:02d}.png", photos / f"{number + 1:02d}.png")
    write_image(photos / "00.png", picture(70))
    pictures = start(data(photos), tmp_path / "run")
    assert numbers(pictures.train) == [70, *range(8)]
    with pytest.raises(UnreadableImage, match=r"09\.png: holds what was a training picture"):
        pictures.validation.read(0)
    shutil.copy(photos / "11.png", photos / "03.png")
    pictures = start(data(photos), tmp_path / "run")
    assert 10 not in numbers(pictures.train)


def test_files_that_were_unreadable_at_the_start_are_not_new_later(photos, tmp_path, capsys):
    (photos / "05.png").write_bytes(b"nothing")
    start(data(photos), tmp_path / "run")
    write_image(photos / "05.png", picture(5))
    pictures = start(data(photos), tmp_path / "run")
    assert numbers(pictures.train) == [0, 1, 2, 3, 4, 6, 7, 8] and capsys.readouterr().err == ""


def test_a_folder_of_validation_is_listed_too(photos, tmp_path, capsys):
    shutil.copytree(photos, tmp_path / "other")
    config = data(photos, tmp_path / "other")
    start(config, tmp_path / "run")
    write_image(tmp_path / "other" / "00a.png", picture(50))
    assert numbers(start(config, tmp_path / "run").validation) == list(range(COUNT))
    assert "other: 1 new since this run started" in capsys.readouterr().err


def test_too_many_lost_pictures_stop_the_run_naming_the_folder(photos, tmp_path):
    start(data(photos), tmp_path / "run")
    for number in range(11):
        (photos / f"{number:02d}.png").unlink()
    with pytest.raises(RunFailure, match=r"photos: 11 of the run's 12 pictures there cannot be read, .*00\.png"):
        start(data(photos), tmp_path / "run")


def test_names_that_are_not_unicode_are_kept(photos, tmp_path):
    os.rename(os.fsencode(photos / "03.png"), os.fsencode(photos) + b"/03\xff.png")
    start(data(photos), tmp_path / "run")
    assert numbers(start(data(photos), tmp_path / "run").train) == list(range(9))


def test_a_run_without_a_list_gets_one_and_that_is_said(photos, tmp_path, capsys):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "step-2.index").touch()
    start(data(photos), tmp_path / "run")
    assert "this run had no list of its pictures" in capsys.readouterr().err
    start(data(photos), tmp_path / "run")
    assert capsys.readouterr().err == ""


def test_drawn_faces_need_no_list(tmp_path):
    start(DataConfig(builtin_identities=2), tmp_path / "run")
    assert not (tmp_path / "run" / "pictures.json").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: "",
        lambda content: "[" * 100_000,
        lambda content: {**content, "version": 2},
        lambda content: {**content, "train": 7},
        lambda content: {**content, "train": {**content["train"], "sha256": {"../a.png": 64 * "0"}}},
        lambda content: {**content, "train": {**content["train"], "sha256": {"a.png": "0"}}},
        lambda content: {**content, "train": {**content["train"], "held_out": 12}},
        lambda content: {**content, "train": {**content["train"], "kind": "shards"}},
    ],
)
def test_a_damaged_list_is_refused_in_one_line(photos, tmp_path, damage):
    start(data(photos), tmp_path / "run")
    path = tmp_path / "run" / "pictures.json"
    content = damage(json.loads(path.read_text()))
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PictureListError, match=r"pictures\.json: not the list of this run's pictures") as caught:
        read_lists(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_list_that_holds_out_another_number_is_refused(photos, tmp_path):
    start(data(photos), tmp_path / "run")
    with pytest.raises(ConfigError, match="holds out 3 pictures of this run, the configuration 4"):
        start(dataclasses.replace(data(photos), validation_images=4), tmp_path / "run")


# --- prepared folders ---


def flip(path, *places):
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture
def prepared(photos, tmp_path):
    prepare(photos, tmp_path / "records", size=16, shard_size=5, progress=False)
    return tmp_path / "records"


def offsets(prepared, shard):
    return json.loads((prepared / "manifest.json").read_text())["shards"][shard]["offsets"]


def test_damaged_records_are_named_at_the_start_and_skipped(prepared, tmp_path, capsys):
    first, second = offsets(prepared, 1)[1:3]
    flip(prepared / "images-00001.tfrecord", first + 3, second + 30)
    for _ in range(2):  # each time the run is started
        pictures = start(data(prepared), tmp_path / "run")
        assert numbers(pictures.train) == [0, 1, 2, 3, 4, 5, 8, 8, 8]
        assert numbers(pictures.validation) == [9, 10, 11]
        assert [name.rsplit("/")[-1] for name, _ in pictures.train.unreadable] == [
            "images-00001.tfrecord record 1",
            "images-00001.tfrecord record 2",
        ]
        assert "images-00001.tfrecord: is damaged (wrong SHA-256): 2 of its 5 records" in capsys.readouterr().err


def test_too_many_damaged_records_stop_the_run(prepared, tmp_path):
    for shard in range(3):
        flip(prepared / f"images-0000{shard}.tfrecord", *(place + 30 for place in offsets(prepared, shard)[:4]))
    start(data(prepared), tmp_path / "run")  # ten are allowed
    flip(prepared / "images-00000.tfrecord", offsets(prepared, 0)[4] + 30)
    with pytest.raises(RunFailure, match="records: 11 of the run's 12 .*: run `rethink-fr prepare --verify "):
        start(data(prepared), tmp_path / "run")


def test_a_record_that_is_damaged_later_is_skipped_and_listed(prepared, tmp_path, capsys):
    pictures = start(data(prepared), tmp_path / "run")
    flip(prepared / "images-00000.tfrecord", offsets(prepared, 0)[2] + 30)
    assert numbers(pictures.train) == [0, 1, 3, *range(3, 9)]
    assert "images-00000.tfrecord record 2: damaged (wrong CRC)" in (tmp_path / "run" / "unreadable.txt").read_text()
    assert "skipped, the next picture takes its place" in capsys.readouterr().err


def test_a_folder_prepared_anew_from_other_pictures_does_not_continue_a_run(photos, prepared, tmp_path):
    start(data(prepared), tmp_path / "run")
    write_image(photos / "00a.png", picture(50))
    shutil.rmtree(prepared)
    prepare(photos, prepared, size=16, shard_size=5, progress=False)
    with pytest.raises(DamagedRecordsError, match=r"images-00000\.tfrecord: is another one since this run started"):
        start(data(prepared), tmp_path / "run")


def test_records_of_another_writer_are_listed_by_their_own_checksums(prepared, tmp_path, capsys):
    (prepared / "manifest.json").unlink()
    start(data(prepared), tmp_path / "run")
    lists = read_lists(tmp_path / "run")
    assert lists != RunLists() and lists.train.records == (5, 5, 2) and lists.train.held_out == HELD_OUT
    shutil.copy(prepared / "images-00000.tfrecord", prepared / "aaa.tfrecord")
    assert numbers(start(data(prepared), tmp_path / "run").train) == list(range(9))
    assert "aaa.tfrecord came since this run started" in capsys.readouterr().err
    shutil.copy(prepared / "images-00000.tfrecord", prepared / "images-00001.tfrecord")  # whole, but another
    with pytest.raises(DamagedRecordsError, match="is another file than it was"):
        start(data(prepared), tmp_path / "run")


# --- through train ---


def test_what_ends_a_run_from_outside_is_told_in_its_terms(tmp_path):
    def full_disk():
        raise tf.errors.ResourceExhaustedError(None, None, "step-4.data; No space left on device")

    def reading():
        def read(index):
            raise RunFailure("photos: too many")

        for _ in tf.data.Dataset.range(1).map(lambda index: read_in_graph(read, index, 8)):
            pass

    def other():
        raise tf.errors.InternalError(None, None, "something else")

    def no_permission():
        raise PermissionError(13, "Permission denied", "samples")

    for ending, kind, message in (
        (full_disk, RunFailure, "run: no space is left on the disk; the run stops, nothing was saved yet"),
        (reading, RunFailure, "^photos: too many$"),
        (other, tf.errors.InternalError, "something else"),
        (no_permission, RunFailure, "Permission denied: 'samples'; what was saved is whole: run the same command aga"),
    ):
        with pytest.raises(kind, match=message), told_plainly(tmp_path / "run"):
            ending()


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_whole(photos, tmp_path):
    import resource

    config = small_config(steps=2, log_every=1, sample_every=100, validate_every=100, checkpoint_every=2)
    config = replace(config, "data", train=str(photos), validation="holdout", validation_images=HELD_OUT)
    train(config, "one", tmp_path / "run")
    assert len(read_lists(tmp_path / "run").train) == COUNT
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # stands for a full disk: no mount is needed
        with pytest.raises(RunFailure, match="no space is left on the disk; the run stops, its last checkpoint is wh"):
            train(replace(config, "training", steps=4), "one", tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_average(tmp_path / "run" / "checkpoints", build_restorer(config.model)) == 2
