"""Commands in processes of their own: with a log, for a limited time, and ended when this process is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

_LOOK = 0.2  # seconds between two looks at a process
_PATIENCE = 120.0  # seconds that a process has to save what it is at, once it was told to end
# The process is told to end when the one that started it dies, however it dies: a run would train on for hours, and
# nobody could continue it meanwhile. 1 is PR_SET_PDEATHSIG of Linux.
_FOLLOW = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


class Stopped(Exception):  # noqa: N818 (reads as what happened)
    """This process was told to end."""


class Stop:
    """Whether this process was told to end. Within `listening`, signals tell it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal = 0

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or raise `Stopped` as soon as this process is told to end."""
        if self._event.wait(seconds):
            raise Stopped

    def tell(self, number: int, frame: object = None) -> None:
        """Tell it; the number of the signal."""
        self.signal = self.signal or number
        self._event.set()

    def listen(self) -> Dict[int, object]:
        """Take SIGINT, SIGTERM and SIGHUP from now on; returns what they did before, for `signal.signal`."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self.tell) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    reason: str  # its last words, if the code is not 0
    seconds: float
    in_time: bool  # False: its time was over, and it was told to end


def run_child(
    arguments: Sequence[str],
    log: Path,
    stop: Stop,
    seconds: Optional[float] = None,
    elapsed: Callable[[float], None] = lambda seconds: None,
    module: str = "rethink_fr",
) -> Ended:
    """Run `python -m module arguments`, which writes all it says to the end of `log`.

    Args:
        arguments: of the command.
        log: the file; its folder is made.
        stop: the process gets SIGTERM when it tells so, and time to save what it is at.
        seconds: it gets SIGTERM after so long, too; None for never.
        elapsed: called every few seconds with the time since it began.
        module: what is run.

    Raises:
        Stopped: after it ended because of `stop`.
        OSError: if the log cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with log.open("ab", buffering=0) as file:
        start = file.tell()
        process = subprocess.Popen(
            [sys.executable, "-c", _FOLLOW, str(os.getpid()), "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a terminal's Ctrl-C is passed on by us, once
        )
        in_time, told = True, 0.0
        while process.poll() is None:
            passed = time.monotonic() - begun
            elapsed(passed)
            if not told and (stop or (seconds is not None and passed >= seconds)):
                in_time = bool(stop)
                told = time.monotonic()
                process.terminate()
            if told and time.monotonic() - told > _PATIENCE:
                process.kill()
            try:
                process.wait(_LOOK)
            except subprocess.TimeoutExpired:
                continue
    if stop:
        raise Stopped
    passed = time.monotonic() - begun
    elapsed(passed)
    return Ended(process.returncode, _last_words(log, start, process.returncode), passed, in_time)


def _last_words(log: Path, start: int, code: int) -> str:
    """The line of a log that says best why a process ended: its error, or else its last line."""
    if code == 0:
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - (1 << 16)))
        text = file.read().decode("utf-8", "replace")
    lines: List[str] = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("rethink-fr: error: ")]
    if errors:
        return errors[-1].removeprefix("rethink-fr: error: ")
    if code < 0:
        ended = f"ended by signal {-code} ({signal.Signals(-code).name})" if -code in set(signal.Signals) else ""
        return ended + (", perhaps for want of memory" if -code == signal.SIGKILL else "")
    return lines[-1][:300] if lines else f"ended with exit code {code}"
