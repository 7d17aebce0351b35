"""Python programs in processes of their own that need not import TensorFlow: they are forked from one that has.

Importing TensorFlow takes three seconds of processor time, which a test of processes would otherwise pay for each one.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List, Mapping, Union

# The server, from which the programs are forked, starts with the first of them and ends with the tests. It imports
# TensorFlow and computes nothing, so TensorFlow has not started threads yet, which a fork would lose.
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tensorflow"])


class ForkedPython:
    """Runs `python -c CODE ARGUMENTS` or `python FILE ARGUMENTS`, with TensorFlow imported already.

    Args:
        program: the code, or the path of a file.
        arguments: become `sys.argv[1:]`.
        cwd: the working directory.
        environment: all environment variables. PYTHONPATH is obeyed.

    Example:
        >>> ForkedPython("import sys; print(sys.argv[1])", "hello", cwd=Path(), environment=os.environ).wait().stdout
        'hello\\n'
    """

    def __init__(
        self, program: Union[str, Path], *arguments: object, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="rethink-fr-forked-")
        self._arguments = [str(argument) for argument in arguments]
        self._process = _server.Process(
            target=_run, args=(program, self._arguments, str(cwd), dict(environment), self._scratch.name)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Wait for the end of the program; stdout and stderr are in the result."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, "the program does not end"
        stdout, stderr = (Path(self._scratch.name, name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        self._scratch.cleanup()
        return subprocess.CompletedProcess(self._arguments, self._process.exitcode, stdout, stderr)


def _run(
    program: Union[str, Path], arguments: List[str], cwd: str, environment: Mapping[str, str], scratch: str
) -> None:
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(scratch, name), os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may have changed
    os.chdir(cwd)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    if isinstance(program, Path):
        sys.argv = [str(program), *arguments]
        runpy.run_path(str(program), run_name="__main__")
    else:
        sys.argv = ["-c", *arguments]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
