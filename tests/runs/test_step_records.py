"""Records of steps are kept up to a step; what is no record is cut off."""

import tensorflow as tf

from rethink_fr.runs.records import (
    forget_records,
    forget_sheets,
    has_event,
    is_recorded,
    last_recorded_step,
    put_in_order,
)


def test_later_steps_and_broken_lines_go(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert forget_records(path, 5) == 0 and not path.exists() and last_recorded_step(path) == 0
    good = b'{"step": 1, "loss": 0.5}\n{"step": 3}\n'
    path.write_bytes(
        b'{"step": 1, "loss": 0.5}\n\x00\xff\n[1]\n{"step": "2"}\n{"step": 3}\n'
        + b"[" * 100_000
        + b'\n{"step": 4}\n{"st'
    )
    assert last_recorded_step(path) == 4
    assert forget_records(path, 3) == 5
    assert path.read_bytes() == good


def test_a_last_line_without_its_end_is_completed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}')
    assert forget_records(path, 9) == 0
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_what_is_right_is_not_written_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n')
    inode = path.stat().st_ino
    forget_records(path, 1)
    assert path.stat().st_ino == inode


def test_logs_begun_by_a_clock_that_was_set_back_come_last(tmp_path):
    """TensorBoard reads files in the order of their names, which hold the time."""
    for name in ("1700000000.host.1.0.v2", "1900000000.host.2.0.v2", "1900000005.host.3.0.v2", "notes"):
        (tmp_path / f"events.out.tfevents.{name}").write_text(name)
    put_in_order(tmp_path, 1800000000.5)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        f"events.out.tfevents.{name}"
        for name in ("1700000000.host.1.0.v2", "1799999998.host.2.0.v2", "1799999999.host.3.0.v2", "notes")
    ]
    put_in_order(tmp_path, 1800000000.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_whether_a_value_is_recorded(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert not is_recorded(path, 3, "validation/psnr")
    path.write_text('{"step": 3, "loss": 1}\n{"step": 3, "validation/psnr": 20}\n{"step": 4, "val')
    assert is_recorded(path, 3, "validation/psnr") and not is_recorded(path, 4, "validation/psnr")


def test_sheets_of_steps_that_are_taken_again_go(tmp_path):
    """One that stayed would count as drawn, and TensorBoard, which has forgotten it, would never show it."""
    for name in ("step_0000004.png", "step_0000006.png", "final.png", "step_9.png.old"):
        (tmp_path / name).write_bytes(b"")
    forget_sheets(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final.png", "step_0000004.png", "step_9.png.old"]


def test_whether_tensorboard_has_a_value_of_a_name(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=3):
        tf.summary.scalar("loss/fit", 1.0)
        tf.summary.text("configuration", "x" * 5000)
    assert has_event(tmp_path, "configuration") and has_event(tmp_path, "loss/fit")
    assert not has_event(tmp_path, "configurations") and not has_event(tmp_path / "none", "loss/fit")
    (path,) = tmp_path.glob("*tfevents*")
    path.write_bytes(path.read_bytes()[:-1])  # its last event was cut off
    assert not has_event(tmp_path, "configuration") and has_event(tmp_path, "loss/fit")
