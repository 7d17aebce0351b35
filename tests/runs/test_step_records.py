"""Records of steps are kept up to a step; what is no record is cut off."""

from rethink_fr.runs.records import forget_records, last_recorded_step


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
