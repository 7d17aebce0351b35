"""Processes of their own: their logs, their time, and that none outlives the one that started it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rethink_fr.experiments.children import Stop, Stopped, run_child
from tests.command_line import ROOT

MODULE = "tests.experiments.execute"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    """Where the module is found."""
    monkeypatch.chdir(ROOT)


def child(tmp_path: Path, code: str) -> list:
    path = tmp_path / "child.py"
    path.write_text(code, encoding="utf-8")
    return [str(path)]


SLEEPS = (
    "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
    "print('ready', flush=True)\ntime.sleep(60)\n"
)


def test_last_words_are_the_error_and_logs_are_continued(tmp_path):
    log = tmp_path / "logs" / "child.log"
    code = "import sys\nprint('rethink-fr: error: no disk', file=sys.stderr)\nprint('bye')\nsys.exit(3)"
    ended = run_child(child(tmp_path, code), log, Stop(), module=MODULE)
    assert (ended.code, ended.reason, ended.in_time) == (3, "no disk", True)
    ended = run_child(child(tmp_path, "raise SystemExit(2)"), log, Stop(), module=MODULE)
    assert ended.reason == "ended with exit code 2" and "bye" in log.read_text()
    ended = run_child(child(tmp_path, "import os; os.kill(os.getpid(), 9)"), log, Stop(), module=MODULE)
    assert ended.reason == "ended by signal 9 (SIGKILL), perhaps for want of memory"
    assert run_child(child(tmp_path, "print(1)"), log, Stop(), module=MODULE).reason == ""


def test_a_child_has_its_time_and_may_save(tmp_path):
    times = []
    ended = run_child(child(tmp_path, SLEEPS), tmp_path / "log", Stop(), 1.5, times.append, MODULE)
    assert ended.code == 75 and not ended.in_time and 1.5 <= ended.seconds < 20 and times[-1] == ended.seconds


def test_a_child_is_told_to_end_when_we_are(tmp_path):
    stop = Stop()
    threading.Timer(1.0, stop.tell, [signal.SIGINT]).start()
    with pytest.raises(Stopped):
        run_child(child(tmp_path, SLEEPS), tmp_path / "log", stop, module=MODULE)
    assert stop.signal == signal.SIGINT


def test_a_child_does_not_outlive_us_however_we_die(tmp_path):
    path = child(tmp_path, "import os\nprint(os.getpid(), flush=True)\n" + SLEEPS)
    code = (
        "import sys; from pathlib import Path; from rethink_fr.experiments.children import Stop, run_child\n"
        f"run_child({path!r}, Path(sys.argv[1]), Stop(), module={MODULE!r})"
    )
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", code, str(log)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while "ready" not in (log.read_text() if log.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.05)
    number = int(log.read_text().split()[0])
    parent.kill()
    parent.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{number}/stat").read_text().split()[2] == "Z":
            return  # nobody has asked for its exit code yet
        time.sleep(0.05)
    pytest.fail("it is still there")
