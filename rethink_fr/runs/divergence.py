"""What is remembered of a run whose losses became NaN, so that the same is not tried again.

Does not import TensorFlow.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json
from rethink_fr.files.writing import write_json
from rethink_fr.runs.checkpoint_files import checkpoint_steps

_FILE = "diverged.json"
_HEALTHY_STEPS = 50  # finite steps that must have followed a checkpoint before going on from it is recommended


def record_divergence(output: Path, step: int, terms: Sequence[str], learning_rates: Mapping[str, float]) -> str:
    """Write `diverged.json` into the run's folder.

    Args:
        output: the run's folder.
        step: the step at which something was not finite.
        terms: names of the scalars that were not.
        learning_rates: the run's learning rates, by the keys of their settings.

    Returns:
        The message for the user: what happened, and the command to go on.

    Raises:
        WriteError: if the file cannot be written.
    """
    steps = [taken for taken in checkpoint_steps(output / "checkpoints") if taken < step]
    healthy = [taken for taken in steps if step - 1 - taken >= _HEALTHY_STEPS]
    found = {
        "step": step,
        "terms": list(terms),
        "learning_rates": dict(learning_rates),
        "newest_checkpoint": steps[-1] if steps else None,
        "healthy_checkpoint": healthy[-1] if healthy else None,
        "oldest_checkpoint": steps[0] if steps else None,
    }
    write_json(output / _FILE, found)
    return _message(output, found)


def divergence(output: Path) -> Optional[str]:
    """The message for the user if the run in `output` has diverged; None if it has not."""
    try:
        found = read_json(output / _FILE, "what is known of a divergence", limit=1 << 20)
        return _message(output, found)
    except (UnreadableFile, LookupError, TypeError, AttributeError):
        return None


def forget_divergence(output: Path) -> None:
    """Remove `diverged.json`: the run goes on in another way."""
    (output / _FILE).unlink(missing_ok=True)


def _message(output: Path, found: Mapping[str, Any]) -> str:
    rates: Mapping[str, float] = found["learning_rates"]
    step, healthy, oldest = int(found["step"]), found["healthy_checkpoint"], found["oldest_checkpoint"]
    shown = ", ".join(f"{key}={rate:g}" for key, rate in rates.items())
    said = f"{', '.join(map(str, found['terms']))} became non-finite at step {step}" + (
        f" with {shown}" if shown else ""
    )
    lower: List[str] = [f"--set {key}={rate / 2:g}" for key, rate in rates.items()]
    if oldest is None:
        advice = "there is no checkpoint yet; start again with a lower rate:"
        start: List[str] = []
    elif healthy is None:
        advice = (
            f"none of the checkpoints was followed by {_HEALTHY_STEPS} finite steps; go on from the oldest, or choose "
            "another --output:"
        )
        start = [f"--resume-from {oldest}"]
    else:
        advice = f"the checkpoint of step {healthy} was followed by {step - 1 - healthy} finite steps; go on from it:"
        start = [f"--resume-from {healthy}"]
    command = " ".join(["rethink-fr train --output", shlex.quote(printable(output)), *start, *lower])
    return f"{said}; {advice} {command}"
