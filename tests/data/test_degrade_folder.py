"""Folders of clean images to folders of degraded ones."""

import os

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.cli import main
from rethink_fr.data.degradation.stages import to_uint8, upsample
from rethink_fr.data.degradation.tasks import degrade, super_resolution_input
from rethink_fr.data.degrade_folder import degrade_folder
from rethink_fr.pictures.files import read_image, write_image
from rethink_fr.types import DegradationRanges


def picture(seed, rows=20, columns=20):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


@pytest.fixture
def clean(tmp_path):
    write_image(tmp_path / "in" / "a.png", picture(0))
    write_image(tmp_path / "in" / "sub" / "ü 顔.png", picture(1, 24, 40))
    write_image(tmp_path / "in" / "z.png", picture(2))
    return tmp_path / "in"


def test_each_image_is_degraded_at_its_own_size_by_its_place_in_the_listing(clean, tmp_path):
    report = degrade_folder(clean, tmp_path / "out", seed=5, progress=False)
    assert report.written == 3 and report.failed == ()
    for index, name in enumerate(["a.png", "sub/ü 顔.png", "z.png"]):
        expected = degrade(read_image(clean / name), 5, index)
        np.testing.assert_array_equal(read_image(tmp_path / "out" / name), expected)


def test_ranges_and_tasks_are_passed_on(clean, tmp_path):
    mild = DegradationRanges((0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (100, 100))
    degrade_folder(clean, tmp_path / "mild", ranges=mild, progress=False)
    np.testing.assert_array_equal(read_image(tmp_path / "mild" / "a.png"), degrade(picture(0), 0, 0, mild))
    degrade_folder(clean, tmp_path / "x8", task="x8", progress=False)
    np.testing.assert_array_equal(read_image(tmp_path / "x8" / "a.png"), super_resolution_input(picture(0), 8))


def test_failures_are_listed_and_do_not_renumber_the_others(clean, tmp_path):
    whole = tmp_path / "whole"
    degrade_folder(clean, whole, progress=False)
    (clean / "a.png").write_bytes(b"")
    write_image(clean / "zz.png", picture(3, 30, 1))
    report = degrade_folder(clean, tmp_path / "out", progress=False)
    assert report.written == 2 and len(list((tmp_path / "out").rglob("*.png"))) == 2
    assert report.failed == (
        ("a.png", "the file is empty"),
        ("zz.png", "1 x 30 pixels, expected 8 x 8 or more"),
    )
    assert not (tmp_path / "out" / "a.png").exists()
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "z.png"), read_image(whole / "z.png"))


def test_two_files_of_one_stem_do_not_overwrite_each_other(clean, tmp_path):
    write_image(clean / "a.jpg", picture(4))
    report = degrade_folder(clean, tmp_path / "out", progress=False)
    assert report.failed == (("a.png", "a.jpg is written as a.png already; rename one of them"),)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), degrade(read_image(clean / "a.jpg"), 0, 0))


def test_the_clean_images_are_never_written_over(clean):
    for output in (clean, clean / "degraded"):
        with pytest.raises(ValueError, match="choose another --output"):
            degrade_folder(clean, output, progress=False)
    np.testing.assert_array_equal(read_image(clean / "a.png"), picture(0))


def test_clean_images_in_a_folder_below_the_output_are_never_written_over(tmp_path, capsys):
    write_image(tmp_path / "dg" / "clean" / "clean" / "a.png", picture(0))
    before = (tmp_path / "dg/clean/clean/a.png").read_bytes()
    write_image(tmp_path / "dg" / "clean" / "a.png", picture(1))
    (tmp_path / "link").symlink_to("dg")
    for output in ("dg", "link"):
        for more in ([], ["--overwrite"]):
            arguments = ["degrade", str(tmp_path / "dg" / "clean"), "--output", str(tmp_path / output), *more]
            assert main(arguments) == 2
            assert "clean/a.png, which would be overwritten" in capsys.readouterr().err
    np.testing.assert_array_equal(read_image(tmp_path / "dg/clean/a.png"), picture(1))
    assert (tmp_path / "dg/clean/clean/a.png").read_bytes() == before


def test_what_is_there_already_is_replaced_only_if_told_to(clean, tmp_path):
    write_image(tmp_path / "out" / "z.png", picture(9))
    with pytest.raises(ValueError, match=r"z\.png: is there already; .*--overwrite"):
        degrade_folder(clean, tmp_path / "out", progress=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["z.png"]  # nothing was begun
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "z.png"), picture(9))
    assert degrade_folder(clean, tmp_path / "out", progress=False, overwrite=True).written == 3
    assert not np.array_equal(read_image(tmp_path / "out" / "z.png"), picture(9))


def test_an_unreadable_image_takes_no_name_and_odd_files_stop_nothing(clean, tmp_path):
    (clean / "a.bmp").write_bytes(b"no picture")
    os.mkfifo(clean / "pipe.png")
    write_image(clean / ("x" * 251 + ".jpg"), picture(3))  # with .png it is as long
    report = degrade_folder(clean, tmp_path / "out", progress=False)
    assert report.written == 4
    assert [name for name, _ in report.failed] == ["a.bmp", "pipe.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), degrade(picture(0), 0, 1))


def test_missing_empty_and_unwritable_folders_are_one_line_errors(clean, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for arguments, message in (
        ((tmp_path / "missing", tmp_path / "out"), "no such folder"),
        ((tmp_path / "empty", tmp_path / "out"), "holds no image files"),
        ((clean, tmp_path / "file"), "cannot be written"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            degrade_folder(*arguments, progress=False)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["x8", "x16", "blind", "vqfr"])
def test_small_inputs_enlarged_are_the_degraded_pictures(task, tmp_path):
    write_image(tmp_path / "in" / "sub" / "a.png", picture(1, 64, 96))
    degrade_folder(tmp_path / "in", tmp_path / "out", 5, task=task, small_dir=tmp_path / "small", progress=False)
    degraded = read_image(tmp_path / "out" / "sub" / "a.png")
    small = read_image(tmp_path / "small" / "sub" / "a.png")
    assert small.shape[0] < 64
    if task in ("x8", "x16"):
        assert small.shape == (64 // int(task[1:]), 96 // int(task[1:]), 3)
        enlarged = to_uint8(tf.image.resize(small, [64, 96], "bicubic", antialias=True))
    else:
        enlarged = to_uint8(upsample(tf.cast(small, tf.float32), 64, 96))
    np.testing.assert_array_equal(enlarged, degraded)
    without = tmp_path / "without"
    degrade_folder(tmp_path / "in", without, 5, task=task, progress=False)
    np.testing.assert_array_equal(read_image(without / "sub" / "a.png"), degraded)


def test_small_inputs_go_to_a_folder_of_their_own(clean, tmp_path, capsys):
    for small, message in ((tmp_path / "out", "is the folder of the degraded images"), (clean / "s", "clean images")):
        with pytest.raises(ValueError, match=f"{message}.*choose another --small"):
            degrade_folder(clean, tmp_path / "out", small_dir=small, progress=False)
    assert not (tmp_path / "out").exists()
    arguments = ["degrade", str(clean), "--scale", "8", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--small", str(tmp_path / "small")]) == 0
    assert "3 pictures written to" in (said := capsys.readouterr().out) and "as small ones to" in said
    assert read_image(tmp_path / "small" / "sub" / "ü 顔.png").shape == (3, 5, 3)
