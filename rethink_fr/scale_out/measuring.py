"""`rethink-fr evaluate --runner`: pictures are read and measured by a pipeline, features included.

A name's pictures are measured as `evaluation.measuring` does it; the numbers and features come back, and the metrics of
whole sets, tables and reports are made of them as ever.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from rethink_fr.evaluation.choosing import named_metrics
from rethink_fr.evaluation.measuring import (
    FEATURE_NETWORKS,
    Drawn,
    Failure,
    Measured,
    OfName,
    gather,
    measure_name,
    read_pictures,
)
from rethink_fr.evaluation.needs import Sources, load_needs
from rethink_fr.evaluation.pairs import Resize, SameSize
from rethink_fr.evaluation.report.contents import Row
from rethink_fr.evaluation.samples import Files
from rethink_fr.files.reading import read_bytes
from rethink_fr.metrics.metric import Metric, Protocol
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.scale_out.inputs import input_name
from rethink_fr.scale_out.launch import launch
from rethink_fr.scale_out.output import OutputFolder, open_output, read_lines
from rethink_fr.scale_out.work import Item, Work, Write

_LIMIT = 1 << 30  # bytes of the features of one name
_OF_THE_CALL = ("reference", "identities", "degraded", "samples")  # needs that no worker loads


class Tools(NamedTuple):
    """What measures."""

    metrics: Tuple[Metric, ...]
    tools: Dict[str, Any]


class ReadName(NamedTuple):
    """The pictures of a name."""

    name: str
    person: Optional[str]
    files: Dict[str, Files]
    together: SameSize[Drawn]


@dataclass(frozen=True)
class MeasuringWork(Work):
    """Measures the pictures of a name."""

    metrics: Tuple[str, ...]
    protocol: Protocol
    sources: Sources
    resize: Resize

    def load(self) -> Tools:
        """The networks and statistics."""
        metrics = tuple(named_metrics(self.metrics, self.protocol))
        needs = dict.fromkeys(need for metric in metrics for need in metric.needs if need not in _OF_THE_CALL)
        tools, absent = load_needs(needs, self.sources.loaders())
        for need, advice in absent.items():
            raise ValueError(f"{need}: {advice}")
        return Tools(metrics, tools)

    def open(self, item: Item) -> ReadName:
        """Read the pictures."""
        pair = {folder: tuple(map(Path, paths)) for folder, paths in item.task["files"].items()}
        return ReadName(item.key, item.task["person"], pair, read_pictures(pair, self.resize))

    def infer(self, model: Tools, group: Sequence[ReadName]) -> List[Union[OfName, UnreadableImage]]:
        """Measure."""
        return [_measured(model, one) for one in group]

    def finish(self, item: Item, inferred: Any, write: Write) -> Dict[str, Any]:
        """Write numbers and features."""
        if isinstance(inferred, UnreadableImage):
            raise inferred
        arrays = {
            (kind, folder, key): array
            for kind, found in (("numbers", inferred.numbers), ("features", inferred.features))
            for folder, of_folder in found.items()
            for key, array in of_folder.items()
        }
        file = io.BytesIO()
        np.savez(file, *arrays.values())
        name = f"measured/{item.digest[:2]}/{item.digest[2:]}.npz"
        write(name, file.getvalue())
        return {"outputs": [name], "arrays": list(arrays), "row": asdict(inferred.row), "resized": inferred.resized}

    def probe(self, model: Tools) -> None:
        """Give the networks a grey picture."""
        for network in (model.tools[need] for need in FEATURE_NETWORKS if need in model.tools):
            network(np.full([1, 64, 64, 3], 128, np.uint8))


@dataclass(frozen=True)
class PipelineMeasuring:
    """Measures as `evaluation.measuring.measure`, by a pipeline.

    Args:
        sources: files of networks and statistics, which the workers read too.
        protocol: whose metrics are computed.
        runner, options: see `runners.execute`.
        work: folder that the pipeline writes to, also on a store; what is in it of an earlier call with the same
            settings is not measured again. None: a temporary one on this machine.
    """

    sources: Sources
    protocol: Protocol
    runner: str
    options: str = ""
    work: Optional[Path] = None

    def __call__(
        self,
        pairs: Sequence[Mapping[str, Files]],
        names: Sequence[str],
        people: Mapping[str, str],
        metrics: Sequence[Metric],
        tools: Mapping[str, Any],
        resize: Resize,
        progress: bool,
    ) -> Measured:
        """See `evaluation.measuring.measure`.

        Raises:
            ValueError: if the folder is of another call.
            RunFailure: if the pipeline fails.
        """
        work = MeasuringWork(tuple(metric.name for metric in metrics), self.protocol, self.sources, resize)
        settings = {
            "command": "evaluate",
            "metrics": list(work.metrics),
            "protocol": self.protocol,
            "sources": {name: str(value) for name, value in vars(self.sources).items()},
            "resize": resize,
        }
        with contextlib.ExitStack() as stack:
            place = self.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rethink-fr-")))
            folder = open_output(place, settings, (), False, "--work")
            ran = launch(_items(pairs, names, people), work, folder, self.runner, self.options, settings)
            return gather(_found(folder, ran.reports, pairs))


def _measured(model: Tools, one: ReadName) -> Union[OfName, UnreadableImage]:
    try:
        return measure_name(one.name, one.files, one.person, model.metrics, model.tools, one.together)
    except UnreadableImage as error:  # what a network makes of it is not finite, say: the model is not at fault
        return error


def _items(pairs: Sequence[Mapping[str, Files]], names: Sequence[str], people: Mapping[str, str]) -> Iterator[Item]:
    for number, (name, pair) in enumerate(zip(names, pairs)):
        files = {folder: [input_name(path) for path in paths] for folder, paths in pair.items()}
        inputs = tuple(path for paths in files.values() for path in paths)
        yield Item(number, name, inputs, {"files": files, "person": people.get(name)})


def _found(
    folder: OutputFolder, reports: Sequence[str], pairs: Sequence[Mapping[str, Files]]
) -> Iterator[Union[OfName, Failure]]:
    """What was measured of each name, or why it was not, in the order of the names; files as they were given."""
    for said in read_lines(folder, reports):
        pair = pairs[said["number"]]
        if "error" in said:
            given = {input_name(path): str(path) for paths in pair.values() for path in paths}
            yield given[said["input"]], said["error"]
            continue
        found: Dict[str, Dict[str, Dict[str, np.ndarray]]] = {"numbers": {}, "features": {}}
        with np.load(io.BytesIO(read_bytes(folder.path(said["outputs"][0]), _LIMIT)), allow_pickle=False) as arrays:
            for place, (kind, of_folder, key) in enumerate(said["arrays"]):
                found[kind].setdefault(of_folder, {})[key] = arrays[f"arr_{place}"]
        row = Row(**{**said["row"], "files": {one: str(paths[0]) for one, paths in pair.items()}})
        yield OfName(row, found["numbers"], found["features"], tuple(said["resized"]))
