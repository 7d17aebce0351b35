"""The pipeline: items are read, given to the model in batches, written, and told of in a report.

    plan of items -> spread -> open -> RunInference -> finish -> lines of the report, dead letters, report.json
                                 \\-> finished before, or refused -----^

Only this and `runners` import Apache Beam. Every item comes to one outcome: finished, or a dead letter with the reason.
What is wrong with an item makes a dead letter at once. What may pass is tried again in place, then as the runner does
it: a worker whose model or store does not work at all must not turn good items into dead letters.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference

from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.writing import WriteError
from rethink_fr.inference.faces import BATCH
from rethink_fr.scale_out.output import DEAD_LETTERS, REPORT_NAME, OutputFolder, stamps
from rethink_fr.scale_out.runners import NAMESPACE
from rethink_fr.scale_out.work import REFUSALS, Item, Work, read_items

WAITS = (0.5, 2.0)  # seconds before another try
_OUTCOMES = "outcomes"

Result = TypeVar("Result")


@dataclass
class InWork:
    """An item on its way."""

    item: Item
    stamps: List[Optional[List[int]]]  # of its inputs, before they were read
    made: Any  # by the last step
    error: Optional[Exception] = None  # why the model gave nothing


@dataclass
class Outcome:
    """What became of an item."""

    item: Item
    said: Dict[str, Any]  # its line of the report; `error` if it is a dead letter


def build(
    pipeline: beam.Pipeline, work: Work, folder: OutputFolder, plan: Sequence[str], reports: Sequence[str], head: bytes
) -> None:
    """Put the steps into a pipeline.

    Args:
        pipeline: to build.
        work: what is done with each item.
        folder: where outputs go.
        plan: names of the files in it that list the items.
        reports: names of the files that tell what became of them; each item is told of in one.
        head: JSON that `report.json` begins with.
    """
    items = (
        pipeline
        | "plan" >> beam.Create([_Name(name) for name in plan])
        | "items" >> beam.ParDo(_ReadPlan(folder))
        | "spread" >> beam.Reshuffle()
    )
    opened = items | "open" >> beam.ParDo(_Open(work, folder)).with_outputs(_OUTCOMES, main="opened")
    inferred = opened.opened
    if work.has_model:
        inferred = inferred | "infer" >> RunInference(WorkHandler(work))
    finished = inferred | "finish" >> beam.ParDo(_Finish(work, folder))
    # An entry of its own for each file, so that one of which nothing is to be said is written too.
    empty = pipeline | "files" >> beam.Create([(name, (-1, 0, b"")) for name in (*reports, DEAD_LETTERS)])
    lines = (opened[_OUTCOMES], finished) | "outcomes" >> beam.Flatten() | "lines" >> beam.FlatMap(_lines, reports)
    _ = (
        (lines, empty)
        | "all lines" >> beam.Flatten()
        | "by file" >> beam.GroupByKey().with_input_types(beam.typehints.Tuple[str, beam.typehints.Any])
        | "write lines" >> beam.ParDo(_WriteLines(folder))
        | "count" >> beam.CombineGlobally(_sums)
        | "write report" >> beam.Map(_write_report, folder, list(reports), head)
    )


class WorkHandler(ModelHandler):
    """Gives batches of opened items to the model of a `Work`."""

    def __init__(self, work: Work) -> None:
        super().__init__(min_batch_size=BATCH, max_batch_size=BATCH)
        self._work = work

    def load_model(self) -> Any:
        """The work's model."""
        return _Loaded(self._work.load())

    def run_inference(self, batch: Sequence[InWork], model: Any, inference_args: Any = None) -> List[InWork]:
        """The batch with what the model made of it. If that fails, its items are tried one by one.

        Raises:
            Exception: what the model raised, if it does not work at all.
        """
        try:
            return self._inferred(batch, model)
        except Exception:
            _counter("batches_split").inc()
        return [self._alone(one, model) for one in batch]

    def get_num_bytes(self, batch: Sequence[InWork]) -> int:
        """Not measured: by default everything would be pickled for it."""
        return 0

    def get_metrics_namespace(self) -> str:
        """Of Beam's own counters: batches, and how long they took."""
        return f"{NAMESPACE}.inference"

    def _inferred(self, batch: Sequence[InWork], model: Any) -> List[InWork]:
        made = self._work.infer(model.value, [one.made for one in batch])
        return [InWork(one.item, one.stamps, new) for one, new in zip(batch, made)]

    def _alone(self, one: InWork, model: Any) -> InWork:
        try:
            return _patiently(lambda: self._inferred([one], model)[0])
        except Exception as error:
            self._work.probe(model.value)
            return InWork(one.item, one.stamps, None, error)


class _Loaded:
    """A model as Beam keeps it: by weak references, which some objects do not have."""

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True)
class _Name:
    """A file's name. Beam's coders of plain text take no names that are not Unicode."""

    name: str


class _ReadPlan(beam.DoFn):
    def __init__(self, folder: OutputFolder) -> None:
        self._folder = folder

    def process(self, name: Any) -> Iterator[Any]:
        yield from _patiently(lambda: read_items(self._folder.path(name.name)))


class _Open(beam.DoFn):
    def __init__(self, work: Work, folder: OutputFolder) -> None:
        self._work, self._folder = work, folder

    def process(self, item: Any) -> Iterator[Any]:
        said = _patiently(lambda: self._folder.finished(item))
        if said is not None:
            _counter("finished_before").inc()
            yield beam.pvalue.TaggedOutput(_OUTCOMES, Outcome(item, said))
            return
        before = stamps(item)
        try:
            opened = _patiently(lambda: self._work.open(item), any(is_remote(path) for path in item.inputs))
        except Exception as error:
            if not self._folder.answers():  # then it says nothing about the item
                raise
            yield beam.pvalue.TaggedOutput(_OUTCOMES, _dead(item, error))
            return
        yield InWork(item, before, opened)


class _Finish(beam.DoFn):
    def __init__(self, work: Work, folder: OutputFolder) -> None:
        self._work, self._folder = work, folder

    def process(self, one: Any) -> Iterator[Any]:
        if one.error is not None:
            yield _dead(one.item, one.error)
            return
        written: List[str] = []

        def write(name: str, data: Any) -> None:
            _patiently(lambda: self._folder.write(name, data))
            written.append(name)
            _counter("bytes_written").inc(len(data))

        try:
            said = self._work.finish(one.item, one.made, write)
        except (WriteError, OSError) as error:
            if not isinstance(error, REFUSALS):
                raise  # a full disk, or a store that is away: the next item would fare no better
            failed: Exception = error
        except Exception as error:
            failed = error
        else:
            _patiently(lambda: self._folder.finish(one.item, one.stamps, said))
            _counter("finished").inc()
            yield Outcome(one.item, said)
            return
        other = self._folder.finished(one.item)
        if other is not None:  # by another delivery meanwhile: these files are its
            yield Outcome(one.item, other)
            return
        for name in written:
            self._folder.remove(name)
        yield _dead(one.item, failed)


class _WriteLines(beam.DoFn):
    """Writes one file of lines, each item once, in the order of the items; gives its counts."""

    def __init__(self, folder: OutputFolder) -> None:
        self._folder = folder

    def process(self, entry: Any) -> Iterator[Any]:
        name, values = entry
        best: Dict[int, Tuple[int, bytes]] = {}
        for number, rank, line in values:  # the same item may be there twice; then what was finished is true
            best[number] = min(best.get(number, (rank, line)), (rank, line))
        lines = [line for _, (_, line) in sorted(best.items()) if line]
        _patiently(lambda: self._folder.write(name, b"".join(lines)))
        if name != DEAD_LETTERS:
            dead = sum(rank for number, (rank, _) in best.items() if number >= 0)
            yield {"finished": len(lines) - dead, "dead_letters": dead}


def _lines(outcome: Outcome, reports: Sequence[str]) -> Iterator[Tuple[str, Tuple[int, int, bytes]]]:
    """The file and the line for an outcome. JSON is written here: Beam's coders of text take no other names."""
    number, dead = outcome.item.number, bool(outcome.said.get("error"))
    line = json.dumps({"number": number, **outcome.said}).encode("ascii") + b"\n"
    yield reports[number % len(reports)], (number, int(dead), line)
    if dead:
        yield DEAD_LETTERS, (number, 1, line)


def _sums(counts: Any) -> Dict[str, int]:
    total: Dict[str, int] = {}
    for one in counts:
        for name, value in one.items():
            total[name] = total.get(name, 0) + value
    return total


def _write_report(counts: Dict[str, int], folder: OutputFolder, reports: List[str], head: bytes) -> None:
    report = {**json.loads(head), **counts, "lines": reports, "dead_letters_file": DEAD_LETTERS}
    _patiently(lambda: folder.write(REPORT_NAME, json.dumps(report, indent=1).encode("ascii") + b"\n"))


def _dead(item: Item, error: Exception) -> Outcome:
    """A dead letter. It names the file that is at fault, if there are several."""
    _counter("dead_letters").inc()
    reason = getattr(error, "reason", None)
    if reason is None and isinstance(error, MemoryError):
        reason = "takes more memory than there is; scale it down, or choose a smaller --upscale"
    if reason is None:
        told = " ".join(str(error).split())[:300]
        reason = f"failed although it was tried {1 + len(WAITS)} times ({type(error).__name__}: {told})"
    name = address(Path(str(getattr(error, "name", item.inputs[0]))))
    return Outcome(item, {"input": name if name in item.inputs else item.inputs[0], "error": reason})


def _patiently(call: Callable[[], Result], remote: bool = False) -> Result:
    """Call again, after a while, what failed; but not what was refused, unless a store (`remote`) may be why."""
    for wait in WAITS:
        try:
            return call()
        except Exception as error:
            if isinstance(error, REFUSALS) and not (remote and _of_the_system(error)):
                raise
            _counter("tries_again").inc()
            time.sleep(wait)
    return call()


def _of_the_system(error: Optional[BaseException]) -> bool:
    """Whether the system or a store gave the reason."""
    return error is not None and (isinstance(error, OSError) or _of_the_system(error.__cause__))


def _counter(name: str) -> Any:
    return Metrics.counter(NAMESPACE, name)
