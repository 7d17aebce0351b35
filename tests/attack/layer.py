"""Trials under the layer of `faults.c`: what a program leaves behind when the n-th change of a file goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence

from tests.command_line import ROOT

SECONDS = 60  # a trial that takes longer hangs; without the load of other tests the slowest takes five
STOPPING = ("kill", "half", "power")  # modes in which the process is killed
FAILING = ("full", "broken")  # modes in which calls fail


class Ended(NamedTuple):
    """How a trial ended."""

    code: Optional[int]  # None if a signal ended it
    signal: Optional[int]
    peak: int  # bytes of memory at most
    output: str  # stdout and stderr
    changes: List[str]  # a line for each change of a file

    def __repr__(self) -> str:
        """What a failed test should show: the end of it."""
        last = self.changes[-1] if self.changes else "no change"
        return f"<code {self.code}, signal {self.signal}, after {last}: {self.output[-1500:]!r}>"

    @property
    def killed(self) -> bool:
        """Whether the layer ended it."""
        return self.signal == signal.SIGKILL


def compiled(folder: Path) -> Optional[Path]:
    """The layer, compiled into `folder`; None where there is no C compiler."""
    compiler = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Trials:
    """Runs scenarios, each in a process of its own, forked from one with `modules` imported.

    Args:
        library: the layer.
        modules: to import once.
        environment: more variables.
    """

    def __init__(self, library: Path, modules: Sequence[str], **environment: str) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="rethink-fr-trials-")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.server", *modules],
            cwd=ROOT,
            env={**os.environ, **environment, "LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, scenario: str, folder: Path, *arguments: Any, mode: str = "count", at: int = 0) -> Ended:
        """One trial.

        Args:
            scenario: `module:function`, called with the arguments; it returns an exit code, or None for 0.
            folder: below which changes count.
            arguments: of the function; paths become text.
            mode, at: what happens at which change, see `faults.c`.
        """
        self.start(scenario, folder, *arguments, mode=mode, at=at)
        ended = self.end()
        assert ended.signal in (None, signal.SIGKILL), f"ended by {ended.signal} (14: it hung) {ended.output}"
        return ended

    def start(
        self,
        scenario: str,
        folder: Path,
        *arguments: Any,
        mode: str = "count",
        at: int = 0,
        seconds: int = SECONDS,
    ) -> int:
        """Begin a trial, as `run` does; returns the number of its process. It must be ended before another begins."""
        output, log = Path(self._scratch.name, "output"), Path(self._scratch.name, "log")
        for path in (output, log):
            path.write_bytes(b"")
        trial = {
            "scenario": scenario,
            "folder": os.path.realpath(folder),
            "arguments": [os.fspath(one) if isinstance(one, Path) else one for one in arguments],
            "mode": mode,
            "at": at,
            "output": str(output),
            "log": str(log),
            "seconds": seconds,
        }
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(trial) + "\n")
        self._server.stdin.flush()
        process: int = json.loads(self._server.stdout.readline())["process"]
        return process

    def end(self) -> Ended:
        """Wait for the end of the trial that was started."""
        assert self._server.stdout is not None
        found = json.loads(self._server.stdout.readline())
        output, log = (Path(self._scratch.name, name).read_text("utf-8", "replace") for name in ("output", "log"))
        return Ended(**found, output=output, changes=log.splitlines())

    def each(
        self,
        prepare: Callable[[], None],
        scenario: str,
        folder: Path,
        *arguments: Any,
        mode: str,
        most: Optional[int] = None,
        leave_out: str = "/logs/",
    ) -> Iterator[Ended]:
        """A trial for each change of a scenario, prepared anew each time; yields how it ended.

        Args:
            prepare: makes what is there before.
            scenario, folder, arguments, mode: see `run`. Without faults it has to succeed.
            most: of the changes, spread evenly; None: all of them.
            leave_out: changes of paths with this in them: TensorBoard's, of which there are hundreds.
        """
        prepare()
        whole = self.run(scenario, folder, *arguments)
        assert whole.code == 0, whole.output
        numbers = [number for number, line in enumerate(whole.changes, start=1) if leave_out not in line]
        assert len(numbers) > 2
        for place in points(len(numbers), most):
            prepare()
            ended = self.run(scenario, folder, *arguments, mode=mode, at=numbers[place - 1])
            assert "Traceback" not in ended.output, ended.output
            assert ended.peak < 2 << 30
            if mode in STOPPING:
                assert ended.killed, ended
            yield ended

    def close(self) -> None:
        """End the process that trials are forked from."""
        self._server.communicate(timeout=30)
        self._scratch.cleanup()


def points(count: int, most: Optional[int] = None) -> Iterator[int]:
    """1 to `count`; with `most`, that many of them, spread evenly, the first and the last among them."""
    if most is None or most >= count:
        yield from range(1, count + 1)
    else:
        yield from sorted({1 + round(place * (count - 1) / (most - 1)) for place in range(most)})


def hidden(folder: Path) -> List[str]:
    """What is below `folder` under a name that only work in progress has."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.endswith((".tmp", ".partial")) or path.name.startswith(".rfr-") or "_temp" in path.name
    )


def contents(folder: Path) -> dict[str, Optional[bytes]]:
    """What is below a folder but for work in progress: bytes of files by name, None of folders."""
    left_out = hidden(folder)
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {
        name: None if path.is_dir() else path.read_bytes()
        for name, path in found.items()
        if not any(name == one or name.startswith(f"{one}/") for one in left_out)
    }
