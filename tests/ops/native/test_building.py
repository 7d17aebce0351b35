"""Building a library: one process at a time, in a folder of its own."""

import subprocess
import sys

from rethink_fr.ops.native.building import build_lock, workspace


def test_what_killed_builds_left_is_cleared_under_the_lock(tmp_path):
    (tmp_path / "building-dead").mkdir()
    (tmp_path / "building-dead/library.so").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "building-link").symlink_to(tmp_path / "elsewhere")
    with build_lock(tmp_path), workspace(tmp_path) as work:
        assert not (tmp_path / "building-dead").exists() and (tmp_path / "elsewhere").exists()
        code = (
            "import fcntl, sys\n"
            "try: fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "except BlockingIOError: sys.exit(3)"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "build.lock")]).returncode == 3
        assert work.is_dir() and work.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "build.lock").stat().st_mode & 0o777 == 0o600
