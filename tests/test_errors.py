"""What the user is told when something goes wrong while running: one line, and the exit code."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.errors import RunFailure, describe, is_full_disk
from rethink_fr.files.writing import write_error
from rethink_fr.pictures.files import write_image
from tests.command_line import ROOT


def no_space(name=None):
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


def not_written(name):
    error = write_error(name, no_space())
    error.__cause__ = no_space()  # as `raise ... from` does
    return error


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (RunFailure("photos: too many"), "photos: too many", 1),
        (ValueError("data.flip: expected 0 to 1\nand more"), "data.flip: expected 0 to 1", 2),
        (FileNotFoundError(2, "No such file or directory", "a\n.png"), "a\\n.png: No such file or directory", 2),
        (OSError(errno.EIO, "Input/output error", "a.png"), "a.png: Input/output error", 1),
        (no_space("run/metrics.jsonl"), "run/metrics.jsonl: no space is left on the disk; make room there", 1),
        (
            not_written("run/a.json"),
            "run/a.json: cannot be written (No space left on device); make room",
            1,
        ),
        (MemoryError(), "out of memory; use smaller pictures", 1),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\n[[node]]"), "out of memory (OOM", 1),
        (tf.errors.UnknownError(None, None, "checkpoint.tmp; No space left on device"), "no space is left", 1),
        (tf.errors.DataLossError(None, None, "corrupted record\n" + 70 * "line\n"), "corrupted record (RETHINK", 1),
    ],
)
def test_each_failure_is_one_line_with_its_exit_code(error, message, code):
    said, exit_code = describe(error)
    assert said.startswith(message) and "\n" not in said
    assert exit_code == code


def test_mistakes_of_the_program_are_not_hidden():
    assert describe(TypeError("no attribute")) is None


def test_a_full_disk_is_seen_behind_what_it_caused():
    try:
        try:
            raise no_space()
        except OSError as error:
            raise ValueError("the sheet cannot be written") from error
    except ValueError as error:
        assert is_full_disk(error)
    assert not is_full_disk(ValueError("something else"))


def test_what_python_raised_inside_a_graph_is_said_without_the_graph():
    def read(index):
        raise ValueError("shard 3 is damaged: copy it again")

    dataset = tf.data.Dataset.range(2).map(lambda index: tf.numpy_function(read, [index], tf.uint8))
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(dataset))
    assert len(str(caught.value).splitlines()) > 5  # what users saw before
    message, code = describe(caught.value)
    assert (message.split(" (RETHINK")[0], code) == ("shard 3 is damaged: copy it again", 1)


def test_a_disk_that_fills_up_ends_prepare_in_one_line_and_leaves_nothing(tmp_path):
    write_image(tmp_path / "in" / "a.png", np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); "
        "from rethink_fr.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["prepare", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--size", "256"]
    for debug, lines in (("", 1), ("1", 10)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "RETHINK_FR_DEBUG": debug, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert done.returncode == 1 and ("Traceback" in done.stderr) == bool(debug)
        said = [line for line in done.stderr.splitlines() if "cuda" not in line and "preparing" not in line and line]
        assert len(said) == 1 if lines == 1 else len(said) > lines, done.stderr
        assert "cannot be written (File too large)" in said[-1]
        assert os.listdir(tmp_path) == ["in"]
