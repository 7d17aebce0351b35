"""Many pictures at a time: by threads of this process, or by several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Deque, Iterator, List, Sequence, Tuple

from rethink_fr.data.preparation.picture import Picture, Preparation, prepare_picture
from rethink_fr.data.sources.picture_files import PictureFiles, open_with_archives
from rethink_fr.errors import RunFailure
from rethink_fr.files.names import printable

_PER_PROCESS = 500  # pictures: for fewer, starting a process takes longer than it saves
_FILES_AT_A_TIME = 64  # for threads: decoded ahead of writing; limits the memory
_CHUNK = 8  # pictures that a process gets at a time
_AHEAD = 3  # chunks for each process that are under way or wait to be written


def processes_for(pictures: int, asked: int = 0) -> int:
    """How many processes prepare so many pictures; `asked` for 0: by the number of processors and of pictures."""
    return asked or max(1, min(len(os.sched_getaffinity(0)), pictures // _PER_PROCESS))


def prepare_all(files: PictureFiles, names: Sequence[str], how: Preparation, processes: int) -> Iterator[Picture]:
    """Prepare pictures; yields them in the order of their names.

    Args:
        files: the pictures.
        names: of those that are wanted.
        how: they are prepared.
        processes: number of processes. With 1, threads of this one do it.

    Raises:
        RunFailure: if a process dies, because the system is out of memory, for example.
    """
    return _by_threads(files, names, how) if processes == 1 else _by_processes(files.folder, names, how, processes)


def _by_threads(files: PictureFiles, names: Sequence[str], how: Preparation) -> Iterator[Picture]:
    # The detector serves one thread at a time, and uses several processors itself.
    threads = 1 if how.align else min(16, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for first in range(0, len(names), _FILES_AT_A_TIME):
            yield from pool.map(lambda name: prepare_picture(files, name, how), names[first : first + _FILES_AT_A_TIME])


def _by_processes(folder: Path, names: Sequence[str], how: Preparation, processes: int) -> Iterator[Picture]:
    # Not forked: TensorFlow may be loaded here, with threads of its own.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(folder, how))
    waiting: Deque[Future[List[Picture]]] = deque()
    try:
        for first in range(0, len(names), _CHUNK):
            waiting.append(pool.submit(_prepare_chunk, list(names[first : first + _CHUNK])))
            if len(waiting) >= _AHEAD * processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunFailure(
            f"{printable(folder)}: a process that prepares pictures has died, perhaps for want of memory; what was "
            "finished is kept: run the same command again, with a smaller --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_own: List[Tuple[PictureFiles, Preparation]] = []  # of a process that prepares


def _begin(folder: Path, how: Preparation) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal; the process that started this one ends it
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(variable, "1")  # the processors are shared by processes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own.append((open_with_archives(folder, listing=False), how))


def _end_with_parent() -> None:
    """A process pool waits for ever for work from a process that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _prepare_chunk(names: List[str]) -> List[Picture]:
    files, how = _own[0]
    return [prepare_picture(files, name, how) for name in names]
