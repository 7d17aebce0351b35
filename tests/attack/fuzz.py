"""Reads mutated files, thousands in one process that may not take 2 GB more than it has, nor 10 s for one of them.

    python -m tests.attack.fuzz TARGET COUNT SEED FOLDER

Only a ValueError of one line may come out of a reader. The file that breaks this stays in the folder.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Tuple

import numpy as np

from tests.attack.fuzz_targets import TARGETS
from tests.attack.mutations import mutated

MEMORY = 2 << 30
SECONDS = 10
LONGEST = 2000  # characters of an error: nobody reads more


def main(name: str, count: int, seed: int, folder: Path) -> Tuple[int, int]:
    """Counts of files that were read and refused."""
    folder.mkdir(parents=True)
    target = TARGETS[name](folder)
    for path in target.files:
        target.read(path)  # whole as they are; and everything is imported and built before memory is limited
    generator = np.random.default_rng(seed)
    originals = {path: path.read_bytes() for path in target.files}
    base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (base + MEMORY, base + MEMORY))
    read = refused = 0
    for number in range(count):
        path = target.files[number % len(target.files)]
        path.write_bytes(mutated(originals[path], generator))
        signal.alarm(SECONDS)  # nothing catches it: the process ends
        try:
            target.read(path)
            read += 1
        except ValueError as error:
            text = str(error)
            if "\n" in text or not text or len(text) > LONGEST or isinstance(error, UnicodeError):
                raise
            refused += 1
        signal.alarm(0)
        path.write_bytes(originals[path])
    return read, refused


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    try:
        counts = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    print(f"read {counts[0]} refused {counts[1]}", flush=True)
    os._exit(0)  # what TensorFlow and onnxruntime do at the end takes seconds
