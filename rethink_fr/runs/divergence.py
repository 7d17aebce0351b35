"""A run whose losses became NaN: what is kept about it, so that the same is not tried again. Loads no TensorFlow."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json
from rethink_fr.files.writing import write_json
from rethink_fr.runs.checkpoint_files import checkpoint_steps

_FILE = "diverged.json"
_HEALTHY_STEPS = 50  # that must have followed on a checkpoint before it is trusted


def record_divergence(output: Path, step: int, terms: Sequence[str], learning_rates: Mapping[str, float]) -> str:
    """Write `diverged.json` in the run's folder; returns the message for the user.

    Args:
        output: the run's folder.
        step: at which something was not finite.
        terms: the scalars that were not.
        learning_rates: by the keys of the settings that change them.

    Raises:
        WriteError: if it cannot be written.
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
    """What to tell the user about the divergence of the run in `output`; None if it has not diverged."""
    try:
        found = read_json(output / _FILE, "what is known of a divergence", limit=1 << 20)
        return _message(output, found)
    except (UnreadableFile, LookupError, TypeError, AttributeError):
        return None


def forget_divergence(output: Path) -> None:
    """The run goes on in another way than the one that diverged."""
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
