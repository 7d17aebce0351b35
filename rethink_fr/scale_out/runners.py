"""Who runs a pipeline. Importing this imports no Apache Beam."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import shlex
import traceback
from typing import Any, Callable, Dict, Iterator

from rethink_fr.errors import RunFailure, install_advice

# By name, Beam's own name; None for the one that runs in this process.
RUNNERS = {
    "direct": None,
    "portable": "PortableRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}
NAMESPACE = "rethink_fr"  # of the counters
_AGAIN = "what was finished is kept: run the same command again, and it goes on there"


def require_beam(runner: str) -> None:
    """Refuse a runner if Apache Beam is not there.

    Raises:
        ValueError: saying what to install.
    """
    if importlib.util.find_spec("apache_beam") is None:
        raise ValueError(f"--runner {runner}: needs Apache Beam, which is not there; {install_advice('beam')}")


def execute(build: Callable[[Any], None], runner: str, options: str = "") -> Dict[str, int]:
    """Run a pipeline to its end.

    Args:
        build: puts the steps into an `apache_beam.Pipeline`.
        runner: one of `RUNNERS`.
        options: of the runner, as Beam takes them on a command line, such as `--flink_master=HOST:8081`.

    Returns:
        Our counters by name. They are what the runner counted: work that it did again counts again.

    Raises:
        RunFailure: if the pipeline fails. What was finished is kept.
    """
    require_beam(runner)
    with quiet():
        try:
            result = _run(build, runner, options)
        except (Exception, SystemExit) as error:
            raise _failure(error) from error
    if str(result.state) != "DONE":
        raise RunFailure(f"the pipeline ended as {result.state}; {_AGAIN}")
    counts: Dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        name = counter.key.metric.name
        if counter.key.metric.namespace == NAMESPACE:
            value = counter.committed if counter.committed is not None else counter.attempted
            counts[name] = counts.get(name, 0) + int(value or 0)
    return counts


def _run(build: Callable[[Any], None], runner: str, options: str) -> Any:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    # By Beam's name for the runner in this process one might get another, Prism, which is downloaded at first use.
    pipeline = beam.Pipeline(runner=RUNNERS[runner] or FnApiRunner(), options=PipelineOptions(shlex.split(options)))
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Beam warns of much that does not matter; what matters is told by exceptions and the report."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _failure(error: BaseException) -> RunFailure:
    """The last line of what a worker raised, which comes as the text of a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[-1] if lines else traceback.format_exception_only(type(error), error)[-1].strip()
    if isinstance(error, SystemExit):
        told = "its options were not understood"
    return RunFailure(f"the pipeline failed ({told[:300]}); {_AGAIN}")
