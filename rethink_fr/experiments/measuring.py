"""Restores the test pictures with one run and measures them, in a process of its own: it is `python -m` this module.

TensorFlow is loaded here, and not in the process that goes through the experiment.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from rethink_fr import errors
from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.needs import Sources
from rethink_fr.files.writing import write_json
from rethink_fr.runs.config_file import load_model_section
from rethink_fr.runs.folder import CONFIG

ANSWER, SAMPLES = "answer", "samples"
SEED = 1  # of the noise of samples


class Job(NamedTuple):
    """What is restored and measured."""

    run: Path  # the run's folder
    clean: Path  # folders of the test pictures
    degraded: Path
    identities: Optional[Path]  # file with who is on them
    restored: Path  # where restored pictures go
    output: Path  # the JSON file with what was measured
    asked: Dict[str, Any]  # what is measured; see `rethink_fr.experiments.work.asked`
    sources: Sources  # networks and statistics of the metrics

    def as_json(self) -> str:
        """The argument of this module."""
        sources = {field.name: getattr(self.sources, field.name) for field in fields(Sources)}
        return json.dumps({**self._asdict(), "sources": sources}, default=str)  # paths become text


def read_job(text: str) -> Job:
    """The job in the argument of this module."""
    given = json.loads(text)
    for name in ("run", "clean", "degraded", "restored", "output"):
        given[name] = Path(given[name])
    if given["identities"] is not None:
        given["identities"] = Path(given["identities"])
    given["sources"] = _sources(given["sources"])
    return Job(**given)


def _sources(given: Mapping[str, Any]) -> Sources:
    plain = ("features", "identity_range", "landmark_range")
    values: Dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, list):
            values[name] = tuple(value)  # a crop
        else:
            values[name] = Path(value) if isinstance(value, str) and name not in plain else value
    return Sources(**values)


def measure(job: Job) -> Dict[str, Any]:
    """Restore and measure. Returns the report of `evaluate` as JSON has it.

    Raises:
        ValueError: if the run cannot restore, or what is asked for cannot be measured.
    """
    from rethink_fr.inference.loading import load_restorer
    from rethink_fr.inference.restore import plan_restoration, restore

    run, restored, asked = job.run, job.restored, job.asked
    restorer = load_restorer(run)
    scale, fidelity = asked["noise_scale"], asked["fidelity"]
    if restorer.noise_shape is None and scale:
        raise ValueError(f"restore.noise_scale: expected 0, since {run} takes no noise, got {scale}")
    methods = {ANSWER: restored / ANSWER}
    ways: Dict[str, Tuple[int, float]] = {ANSWER: (1, scale)}
    _, settings = load_model_section(run / CONFIG)
    if asked["draws"] and restorer.noise_shape is not None and settings.noise:
        methods[SAMPLES] = restored / SAMPLES
        ways[SAMPLES] = (asked["draws"], scale or 1.0)
    for name, (samples, noise_scale) in ways.items():
        plan = plan_restoration([job.degraded], methods[name], run, samples, overwrite=True)
        report = restore(restorer, str(run), plan, noise_scale, SEED, fidelity)
        if report.failed:
            raise ValueError(f"{report.failed[0].input}: {report.failed[0].error}")
    evaluated = evaluate(
        methods,
        job.clean,
        job.degraded,
        job.identities,
        asked["metrics"],
        sources=job.sources,
        k=asked["k"],
        resize="reference",
    )
    if evaluated.failed:
        raise ValueError(": ".join(evaluated.failed[0]))
    return evaluated.as_json()


def main() -> int:
    """Do the job that is given as the only argument. Returns the exit code."""
    job = read_job(sys.argv[1])
    try:
        write_json(job.output, measure(job))
    except Exception as error:
        described = errors.describe(error)
        if described is None:
            raise
        print(f"rethink-fr: error: {described[0]}", file=sys.stderr)
        return described[1]
    return errors.OK


if __name__ == "__main__":
    sys.exit(main())
