"""Restores the test pictures with one run and measures them, in a process of its own: it is `python -m` this module.

TensorFlow is loaded here, and not in the process that goes through the experiment.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from rethink_fr import errors
from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.needs import Sources
from rethink_fr.files.writing import write_json
from rethink_fr.runs.config_file import load_model_section
from rethink_fr.runs.folder import CONFIG

ANSWER, SAMPLES = "answer", "samples"
SEED = 1  # of the noise of samples


def as_job(
    run: Path,
    clean: Path,
    degraded: Path,
    identities: Optional[Path],
    restored: Path,
    output: Path,
    asked: Mapping[str, Any],
    sources: Sources,
) -> str:
    """The argument of this module, as JSON.

    Args:
        run: the run's folder.
        clean, degraded: folders of the test pictures.
        identities: file with who is on them.
        restored: where restored pictures go.
        output: the JSON file with what was measured.
        asked: what is measured; see `rethink_fr.experiments.work.asked`.
        sources: networks and statistics of the metrics.
    """
    given = {field.name: getattr(sources, field.name) for field in fields(Sources)}
    paths = {"run": run, "clean": clean, "degraded": degraded, "restored": restored, "output": output}
    return json.dumps(
        {
            **{name: str(path) for name, path in paths.items()},
            "identities": None if identities is None else str(identities),
            "asked": dict(asked),
            "sources": {name: str(one) if isinstance(one, Path) else one for name, one in given.items()},
        }
    )


def sources_of(given: Mapping[str, Any]) -> Sources:
    """The sources in a job."""
    plain = ("features", "identity_range", "landmark_range")
    values: Dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, list):
            values[name] = tuple(value)  # a crop
        else:
            values[name] = Path(value) if isinstance(value, str) and name not in plain else value
    return Sources(**values)


def measure(job: Mapping[str, Any]) -> Dict[str, Any]:
    """Restore and measure; see `as_job`. Returns the report of `evaluate` as JSON has it.

    Raises:
        ValueError: if the run cannot restore, or what is asked for cannot be measured.
    """
    from rethink_fr.inference.loading import load_restorer
    from rethink_fr.inference.restore import plan_restoration, restore

    run, degraded, restored, asked = Path(job["run"]), Path(job["degraded"]), Path(job["restored"]), job["asked"]
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
        plan = plan_restoration([degraded], methods[name], run, samples, overwrite=True)
        report = restore(restorer, str(run), plan, noise_scale, SEED, fidelity)
        if report.failed:
            raise ValueError(f"{report.failed[0].input}: {report.failed[0].error}")
    evaluated = evaluate(
        methods,
        job["clean"],
        degraded,
        job["identities"],
        asked["metrics"],
        sources=sources_of(job["sources"]),
        k=asked["k"],
        resize="reference",
    )
    if evaluated.failed:
        raise ValueError(": ".join(evaluated.failed[0]))
    return evaluated.as_json()


def main() -> int:
    """Do the job that is given as the only argument. Returns the exit code."""
    job = json.loads(sys.argv[1])
    try:
        write_json(job["output"], measure(job))
    except Exception as error:
        described = errors.describe(error)
        if described is None:
            raise
        print(f"rethink-fr: error: {described[0]}", file=sys.stderr)
        return described[1]
    return errors.OK


if __name__ == "__main__":
    sys.exit(main())
