"""Goes through an experiment: trains what is not trained, measures what is not measured, takes what nobody else has.

A part is one training, or one measurement. Its lock is held while it is worked on, by whichever process or thread of
whichever machine; its record is written when it is done. So the same call continues after any interruption, and several
calls share the work.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from tqdm import tqdm

from rethink_fr.config.parsing import plain
from rethink_fr.errors import AGAIN
from rethink_fr.experiments.children import Ended, Stop, Stopped, run_child
from rethink_fr.experiments.folder import FAILED, MEASURED, TRAINED, Folder
from rethink_fr.experiments.measuring import ANSWER, SAMPLES, SEED, Job
from rethink_fr.experiments.plan import Cell, Plan, Run, shown_command, source_options
from rethink_fr.experiments.version import source_version
from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_json
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.folder import CHECKPOINTS

_WAIT = 1.0  # seconds until it is looked again for a part that is free
_NOTED = 5.0  # seconds of training after which the time is noted
_PROGRESS = "progress.json"


class Part(NamedTuple):
    """The next thing to do for a cell."""

    place: str  # its lock
    run: Optional[Run]  # to train; None: the cell is measured


def work(plan: Plan, folder: Folder, cells: Sequence[Cell], stop: Stop, processes: int = 1) -> None:
    """Do everything that is left of these cells, so many parts at once.

    What fails is recorded, and does not keep the others from being done. Parts that other processes are at are waited
    for.

    Raises:
        Stopped: if this process was told to end; what was done is kept.
    """
    total = len({part.place for cell in cells for part in _parts(plan, folder, cell)})
    with tqdm(total=total, desc="experiment", unit="part", disable=not total, dynamic_ncols=True) as bar:
        worker = _Worker(plan, folder, cells, stop, bar)
        threads = [threading.Thread(target=worker.run) for _ in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # signals are handled between two joins
    if worker.error is not None:
        raise worker.error
    if stop:
        raise Stopped


def asked(plan: Plan, cell: Cell) -> Dict[str, Any]:
    """What is measured of a cell, and how it is restored: if it changes, the cell is measured again."""
    measure, restore = plan.definition.measure, cell.variant.restore
    metrics = measure.metrics if plan.options.metrics is None else plan.options.metrics
    return {
        "metrics": list(metrics) or None,
        "draws": measure.draws,
        "k": measure.k,
        "noise_scale": restore.noise_scale,
        "fidelity": restore.fidelity,
        "budget": plain(cell.run.budget),
        "sources": source_options(plan.options.sources),
    }


def _parts(plan: Plan, folder: Folder, cell: Cell) -> Iterator[Part]:
    """What is left to do for a cell, in its order."""
    for run in (cell.run.start, cell.run):
        if run is not None and not folder.is_trained(run):
            yield Part(run.place, run)
    if folder.measured(cell, asked(plan, cell)) is None:
        yield Part(f"{cell.place}/measure", None)


class _Worker:
    """What threads that work on the same cells share."""

    def __init__(self, plan: Plan, folder: Folder, cells: Sequence[Cell], stop: Stop, bar: Any) -> None:
        self._plan, self._folder, self._cells, self._stop, self._bar = plan, folder, cells, stop, bar
        self._begun = time.time()
        self._waited = False
        self._working: Set[int] = set()  # threads that are at a part
        self._mine: Set[str] = set()  # parts that failed in this call
        self._done: Set[str] = set()  # cells of which nothing is left, whose records are not read again
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        """Take one part after the other until there is none left."""
        try:
            while not self._stop and self.error is None:
                found, busy = self._next()
                if not found and not busy:
                    return
                if not found:
                    if not self._waited and not self._working:
                        self._waited = True
                        tqdm.write(f"waiting for what other processes are at: {', '.join(busy[:3])}", file=sys.stderr)
                    self._stop.wait(_WAIT)
        except Stopped:
            return
        except BaseException as error:  # a mistake of the program: the other threads end, too
            self.error = error

    def _next(self) -> Tuple[bool, List[str]]:
        """Do one part. Returns whether there was one to do, and those that others are at."""
        busy: List[str] = []
        for cell in self._cells:
            if cell.place in self._done:
                continue
            part = next(_parts(self._plan, self._folder, cell), None)
            if part is None:
                self._done.add(cell.place)
            if part is None or self._has_failed(cell):
                continue
            with self._folder.taken(part.place) as mine:
                if not mine:
                    busy.append(cell.title)
                    continue
                # Another one may have done it since it was looked at.
                if next(_parts(self._plan, self._folder, cell), None) == part and not self._has_failed(cell):
                    self._do(cell, part)
                return True, busy
        return False, busy

    def _has_failed(self, cell: Cell) -> bool:
        """Whether a part that the cell needs has failed since this call began."""
        places = [run.place for run in (cell.run.start, cell.run) if run is not None] + [f"{cell.place}/measure"]
        for place in places:
            record = self._folder.read(place, FAILED)
            if record is not None and (place in self._mine or record.get("at", 0) >= self._begun):
                return True
        return False

    def _do(self, cell: Cell, part: Part) -> None:
        title = cell.title if part.run is None else part.run.title
        self._folder.forget(part.place, FAILED)
        self._working.add(threading.get_ident())
        try:
            if part.run is None:
                said = self._measure(cell, part.place)
            else:
                said = self._train(part.run)
        except _PartFailed as failure:
            log = self._folder.record_folder(part.place)
            self._mine.add(part.place)
            self._folder.write(part.place, FAILED, {"reason": str(failure), "at": time.time()})
            said = f"failed: {printable(str(failure))}; see {printable(log)}"
        finally:
            self._working.discard(threading.get_ident())
        tqdm.write(f"{title}: {said}", file=sys.stderr)
        self._bar.update()

    def _train(self, run: Run) -> str:
        """Train a run to the end of its budget; a training that was interrupted is continued."""
        folder, options = self._folder, self._plan.options
        before = (folder.read(run.place, _PROGRESS) or {}).get("seconds", 0.0)
        noted = [0.0]

        def elapsed(seconds: float) -> None:
            if seconds - noted[0] >= _NOTED:
                noted[0] = seconds
                folder.write(run.place, _PROGRESS, {"seconds": before + seconds})

        limit = run.budget.minutes * 60 - before if run.budget.minutes else None
        log = folder.record_folder(run.place) / "train.log"
        tqdm.write(f"{run.title}: training; {printable(log)} tells more", file=sys.stderr)
        ended: Optional[Ended] = None
        if limit is None or limit > 0:
            ended = run_child(run.arguments(options.output, options.strategy), log, self._stop, limit, elapsed)
            seconds = before + ended.seconds
            folder.write(run.place, _PROGRESS, {"seconds": seconds})
        else:
            seconds = before
        steps = checkpoint_steps(run.folder(options.output) / CHECKPOINTS)
        if ended is not None and ended.in_time and ended.code != 0:
            raise _PartFailed(ended.reason)
        if ended is not None and not ended.in_time and ended.code not in (0, AGAIN) or not steps:
            raise _PartFailed(f"the budget of {run.budget.minutes:g} minutes was over before the first step was taken")
        record = {
            "steps": steps[-1],
            "budget": plain(run.budget),
            "seconds": round(seconds, 1),
            "command": self._plan.command(run),
            "commit": source_version(),
        }
        folder.write(run.place, TRAINED, record)
        return f"trained, {steps[-1]:,} steps in {seconds / 60:.1f} minutes"

    def _measure(self, cell: Cell, place: str) -> str:
        """Restore the test pictures and measure them."""
        folder, options = self._folder, self._plan.options
        here = folder.record_folder(place)
        job = Job(
            run=cell.run.folder(options.output),
            clean=folder.clean,
            degraded=folder.degraded,
            identities=folder.identities,
            restored=folder.restored(cell),
            output=here / "report.json",
            asked=asked(self._plan, cell),
            sources=options.sources,
        )
        log = here / "measure.log"
        ended = run_child([job.as_json()], log, self._stop, module="rethink_fr.experiments.measuring")
        if ended.code != 0:
            raise _PartFailed(ended.reason)
        found = read_json(job.output, "an evaluation")
        record = {
            "asked": job.asked,
            "seconds": round(ended.seconds, 1),
            "commands": _commands(job, SAMPLES in found["samples"]),
            "commit": source_version(),
            "report": found,
        }
        folder.write(cell.place, MEASURED, record)
        return "measured"


class _PartFailed(Exception):  # noqa: N818 (reads as what happened)
    """A part could not be done; the message says why, in one line."""


def _commands(job: Job, samples: bool) -> List[str]:
    """The commands that restore and measure the same by hand."""
    asked, restored = job.asked, job.restored
    restore = ["restore", str(job.degraded), "--aligned", "--model", str(job.run), "--seed", str(SEED)]
    if asked["fidelity"] is not None:
        restore += ["--fidelity", f"{asked['fidelity']:g}"]
    scale = ["--noise-scale", f"{asked['noise_scale']:g}"]
    found = [[*restore, *scale, "--output", str(restored / ANSWER)]]
    methods = [f"{ANSWER}={restored / ANSWER}"]
    if samples:
        scale[1] = f"{asked['noise_scale'] or 1.0:g}"
        found.append([*restore, *scale, "--samples", str(asked["draws"]), "--output", str(restored / SAMPLES)])
        methods.append(f"{SAMPLES}={restored / SAMPLES}")
    last = ["evaluate", "--restored", *methods, "--reference", str(job.clean), "--degraded", str(job.degraded)]
    last.append("--resize")
    if job.identities is not None:
        last += ["--identities", str(job.identities)]
    if asked["metrics"]:
        last += ["--metrics", ",".join(asked["metrics"])]
    last += source_options(job.sources)
    return [shown_command(one) for one in (*found, last)]


def failure(folder: Folder, cell: Cell) -> Optional[str]:
    """Why a cell could not be done; None if nothing it needs has failed."""
    for run in (cell.run.start, cell.run):
        record = None if run is None or folder.is_trained(run) else folder.read(run.place, FAILED)
        if run is not None and record is not None:
            return f"{run.title if run is not cell.run else 'training'}: {record.get('reason')}"
    record = folder.read(f"{cell.place}/measure", FAILED)
    return None if record is None else f"measuring: {record.get('reason')}"
