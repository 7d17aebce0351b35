"""Several training folders in one run: shares, held-out lists, and the same pictures after an interruption."""

import collections
import dataclasses
import json

import numpy as np
import pytest

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import DataConfig, FolderConfig
from rethink_fr.data.prepare import prepare
from rethink_fr.data.sources.image_source import MemorySource
from rethink_fr.data.sources.several import SeveralSource
from rethink_fr.pictures.files import write_image
from rethink_fr.runs.config_file import load_config, load_run_config, save_config
from rethink_fr.runs.picture_lists import LIST_NAME, PictureListError, read_lists
from rethink_fr.runs.resolve import resolve_config
from rethink_fr.training.run import train
from tests.training.helpers import small_config
from tests.training.test_pictures import numbers, picture, start


def memory(first, count):
    return MemorySource(np.stack([picture(first + number) for number in range(count)]))


def test_without_shares_every_picture_comes_once():
    source = SeveralSource([memory(0, 5), memory(100, 2), memory(200, 3)])
    assert numbers(source) == [0, 1, 2, 3, 4, 100, 101, 200, 201, 202]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.1, 0.9), (0.95, 0.05)])
def test_with_shares_each_folder_makes_up_its_own_and_none_of_its_pictures_is_left_out(shares):
    sources = [memory(0, 30), memory(100, 7)]
    counts = collections.Counter(numbers(SeveralSource(sources, shares)))
    of_first = sum(count for number, count in counts.items() if number < 100)
    np.testing.assert_allclose(of_first / sum(counts.values()), shares[0], atol=1 / sum(counts.values()))
    for first, size in ((0, 30), (100, 7)):
        times = [counts[first + number] for number in range(size)]
        assert min(times) >= 1 and max(times) - min(times) <= 1


@pytest.fixture
def folders(tmp_path):
    """Ten pictures in a folder, 0 to 9; and six in a prepared one, 100 to 105, two of each person."""
    for number in range(10):
        write_image(tmp_path / "a" / "deep" / f"{number}.png", picture(number))
    for number in range(6):
        write_image(tmp_path / "b" / f"{'xyz'[number // 2]}" / f"{number}.png", picture(100 + number))
    prepare(tmp_path / "b", tmp_path / "records", size=16, shard_size=4, folder_identities=True, progress=False)
    (tmp_path / "a.txt").write_text("deep/2\ndeep/7.png\ndeep/77.png\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("x/1.png\nz/4.png\nz/5.png\n", encoding="utf-8")
    return tmp_path


def data(folders, *shares):
    shares = shares or (0.0, 0.0)
    return DataConfig(
        train="several",
        folders=(
            FolderConfig(str(folders / "a"), shares[0], str(folders / "a.txt")),
            FolderConfig(str(folders / "records"), shares[1], str(folders / "b.txt")),
        ),
        validation="holdout",
        validation_images=4,
    )


TRAINED, HELD_OUT = [0, 1, 3, 4, 5, 6, 8, 9, 100, 102, 103], [2, 7, 101, 104, 105]


def test_each_folder_holds_out_what_its_list_names_in_every_call(folders, capsys):
    pictures = start(data(folders), folders / "run")
    assert (numbers(pictures.train), numbers(pictures.validation)) == (TRAINED, HELD_OUT)
    told = capsys.readouterr().err
    assert "a: 2 of its 10 pictures are held out" in told and "a.txt: 1 are not there: deep/77.png" in told
    assert "records: people who are trained on and held out: x\n" in told
    # The run's list decides from now on: not the files of names, not what else is in the folders.
    (folders / "a.txt").write_text("deep/0.png\n", encoding="utf-8")
    write_image(folders / "a" / "deep" / "20.png", picture(20))
    again = start(data(folders), folders / "run")
    assert (numbers(again.train), numbers(again.validation)) == (TRAINED, HELD_OUT)
    assert again.lists == pictures.lists == read_lists(folders / "run") and len(again.lists.folders) == 2
    assert "deep/20.png" not in json.dumps(json.loads((folders / "run" / LIST_NAME).read_text())["folders"])


def test_a_held_out_picture_under_a_name_of_training_is_skipped(folders):
    start(data(folders), folders / "run")
    write_image(folders / "a" / "deep" / "3.png", picture(7))
    pictures = start(data(folders), folders / "run")
    assert numbers(pictures.train)[:4] == [0, 1, 4, 4]
    assert "held-out picture" in dict(pictures.train.unreadable)[str(folders / "a" / "deep" / "3.png")]


def test_lists_that_name_nothing_or_everything_are_refused(folders):
    (folders / "a.txt").write_text("other.png\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.txt: .*holds none of the 1 pictures that it names"):
        start(data(folders), folders / "run")
    (folders / "a.txt").write_text("".join(f"deep/{number}\n" for number in range(10)), encoding="utf-8")
    with pytest.raises(ValueError, match=r"a: all of its pictures are held out; leave the folder out of data\.folders"):
        start(data(folders), folders / "run")


@pytest.mark.parametrize(
    "damage",
    [
        lambda said: {**said, "folders": [None]},
        lambda said: {**said, "folders": {}},
        lambda said: {**said, "folders": [{**said["folders"][1], "held_out_records": [1, 1]}]},
        lambda said: {**said, "folders": [{**said["folders"][1], "held_out_records": [6]}]},
    ],
)
def test_a_damaged_list_of_folders_is_refused(folders, damage):
    start(data(folders), folders / "run")
    path = folders / "run" / LIST_NAME
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(PictureListError, match=r"pictures\.json: not the list of this run's pictures"):
        read_lists(folders / "run")
    path.unlink()
    start(data(folders), folders / "run")
    fewer = dataclasses.replace(data(folders), folders=data(folders).folders[:1])
    with pytest.raises(ConfigError, match=r"data\.folders: .* is of 2 folders, expected 1"):
        start(fewer, folders / "run")


def test_the_papers_pictures_are_a_configuration(tmp_path):
    config = load_config("rethink_512_97k")
    assert [folder.path for folder in config.data.folders] == ["data/ffhq_512", "data/celeba_hq_512"]
    assert [bool(folder.held_out) for folder in config.data.folders] == [False, True]
    save_config(config, tmp_path / "config.yaml")
    assert load_run_config(tmp_path / "config.yaml") == config
    # But for the pictures it is the paper's setting.
    same = dataclasses.replace(config, data=load_config("rethink_512").data)
    assert same == load_config("rethink_512")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.train=several"], "data.train: expected 'several' where data.folders are given"),
        (["data.folders=[{path: a}]"], "data.train: expected 'several' where data.folders are given"),
        (["data.train=several", "data.folders=[{path: a}, {path: a}]"], "data.folders: expected a path for each"),
        (["data.train=several", "data.folders=[{held_out: a}]"], "data.folders: expected a path for each"),
        (
            ["data.train=several", "data.folders=[{path: a, share: 0.5}, {path: b}]"],
            "data.folders: expected shares that are together 1",
        ),
        (["data.train=several", "data.folders=[{pth: a}]"], "data.folders.pth: no such key; known here: path, share"),
        (
            ["data.train=several", "data.folders=[{path: a}]", "data.validation=holdout"],
            "data.validation: expected a path or 'builtin'",
        ),
    ],
)
def test_folders_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config("smoke_64", settings)


def test_folders_and_lists_that_are_not_there_are_told_before_anything_is_loaded(folders):
    one = ["data.train=several", f"data.folders=[{{path: {folders}/none}}]"]
    with pytest.raises(ConfigError, match=r"data\.folders: no folder .*none; expected one of images"):
        resolve_config("smoke_64", one, folders / "run")
    one = ["data.train=several", f"data.folders=[{{path: {folders}/a, held_out: {folders}/none.txt}}]"]
    with pytest.raises(ConfigError, match=r"data\.folders: no file .*none\.txt; expected names"):
        resolve_config("smoke_64", one, folders / "run")


@pytest.mark.slow
def test_a_run_trains_on_several_folders(folders):
    config = small_config()
    prepare(folders / "b", folders / "large", size=config.model.resolution, progress=False)
    first, second = data(folders, 0.4, 0.6).folders
    second = dataclasses.replace(second, path=str(folders / "large"))
    several = dataclasses.replace(data(folders), folders=(first, second))
    report = train(dataclasses.replace(config, data=several), "one", folders / "run")
    assert report.finished and np.isfinite(report.figures["psnr"])
