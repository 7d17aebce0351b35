"""The process that trials are forked from: it imports what they need once. See `layer`.

    python -m tests.attack.server MODULE ...     (with the layer in LD_PRELOAD)

Reads trials from stdin, and writes a JSON object on a line each to stdout: the process of the trial when it begins, and
what became of it when it has ended.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any, Dict

EXCEPTION = 70  # exit code of a trial that an exception ended
ADDRESSES = 6 << 30  # bytes that a trial may map beyond what there is: a file without end must not take the machine


def main() -> None:
    del os.environ["LD_PRELOAD"]
    for name in sys.argv[1:]:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        trial = json.loads(line)
        process = os.fork()
        if process == 0:
            _run(trial)
        answers.write(json.dumps({"process": process}) + "\n")
        answers.flush()
        _, status, used = os.wait4(process, 0)
        found = {
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "peak": used.ru_maxrss * 1024,
        }
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def _run(trial: Dict[str, Any]) -> None:
    """The forked process: never returns."""
    code: object = EXCEPTION
    try:
        os.setpgid(0, 0)
        nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(trial["output"], os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(nothing, 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(trial["seconds"])
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        module, _, name = trial["scenario"].partition(":")
        scenario = getattr(importlib.import_module(module), name)
        folder, log = trial["folder"].encode(), trial["log"].encode()
        ctypes.CDLL(None).faults_arm(folder, trial["mode"].encode(), ctypes.c_long(trial["at"]), log)
        code = scenario(*trial["arguments"]) or 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else EXCEPTION)


if __name__ == "__main__":
    main()
