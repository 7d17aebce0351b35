"""What is remembered of a run that diverged, so that the same is not tried again: why, and how it was rolled back.

Does not import TensorFlow.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json
from rethink_fr.files.writing import write_json
from rethink_fr.runs.checkpoint_files import checkpoint_steps

_FILE = "diverged.json"
_ROLLBACKS = "rollbacks.json"
_HEALTHY_STEPS = 50  # good steps that must have followed a checkpoint before going on from it is recommended


class Rollback(NamedTuple):
    """A run that diverged went back to a checkpoint and on from there with lower learning rates."""

    diverged_at: int  # step
    what: str  # what happened there
    to_step: int  # of the checkpoint; 0 for the start
    factor: float  # on all learning rates
    learning_rates: Mapping[str, float]  # of the settings, which stay as they are


def read_rollbacks(output: Path) -> List[Rollback]:
    """All roll-backs of the run in `output`, in their order.

    Raises:
        UnreadableFile: if they are recorded but cannot be read. Learning rates would silently be higher again.
    """
    path = output / _ROLLBACKS
    if not path.exists():
        return []
    content = read_json(path, "the roll-backs of a run", limit=1 << 20)
    try:
        return [
            Rollback(
                int(one["diverged_at"]),
                str(one["what"]),
                int(one["to_step"]),
                float(one["factor"]),
                {str(key): float(rate) for key, rate in one["learning_rates"].items()},
            )
            for one in content
        ]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UnreadableFile(
            path, "does not hold the roll-backs of a run; put a copy of it back, or remove it and set the rates lower"
        ) from None


def write_rollbacks(output: Path, rollbacks: Sequence[Rollback]) -> None:
    """Write `rollbacks.json`, so that whoever continues the run knows of them.

    Raises:
        WriteError: if the file cannot be written.
    """
    write_json(output / _ROLLBACKS, [one._asdict() for one in rollbacks])


def rate_factor(rollbacks: Sequence[Rollback], learning_rates: Mapping[str, float]) -> float:
    """By what the settings' learning rates are multiplied after these roll-backs.

    Those that happened with other rates in the settings do not count: the user has chosen new ones since.
    """
    factor = 1.0
    for one in rollbacks:
        factor *= one.factor if one.learning_rates == learning_rates else 1.0
    return factor


def checkpoint_before(output: Path, step: int) -> int:
    """The step of the checkpoint to go back to from a divergence at `step`; 0 for the start if there is none.

    It is the newest one that was followed by 50 good steps, since weights may be bad before it shows. If there is none,
    it is the oldest.
    """
    steps, healthy = _candidates(output, step)
    return (healthy or steps[:1] or [0])[-1]


def record_divergence(output: Path, step: int, what: str, learning_rates: Mapping[str, float]) -> str:
    """Write `diverged.json` into the run's folder.

    Args:
        output: the run's folder.
        step: the step at which the run diverged.
        what: what happened there.
        learning_rates: the run's learning rates, by the keys of their settings.

    Returns:
        The message for the user: what happened, and the command to go on.

    Raises:
        WriteError: if the file cannot be written.
    """
    steps, healthy = _candidates(output, step)
    found = {
        "step": step,
        "what": what,
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


def _candidates(output: Path, step: int) -> Tuple[List[int], List[int]]:
    """The steps of the checkpoints before `step`, and of those that were followed by enough good steps."""
    steps = [taken for taken in checkpoint_steps(output / "checkpoints") if taken < step]
    return steps, [taken for taken in steps if step - 1 - taken >= _HEALTHY_STEPS]


def _message(output: Path, found: Mapping[str, Any]) -> str:
    rates: Mapping[str, float] = found["learning_rates"]
    step, healthy, oldest = int(found["step"]), found["healthy_checkpoint"], found["oldest_checkpoint"]
    shown = ", ".join(f"{key}={rate:g}" for key, rate in rates.items())
    # Earlier versions wrote the names of what was not finite.
    what = found["what"] if "what" in found else f"{', '.join(map(str, found['terms']))} became non-finite"
    said = f"{what} at step {step}" + (f" with {shown}" if shown else "")
    lower: List[str] = [f"--set {key}={rate / 2:g}" for key, rate in rates.items()]
    if oldest is None:
        advice = "there is no checkpoint yet; start again with a lower rate:"
        start: List[str] = []
    elif healthy is None:
        advice = (
            f"none of the checkpoints was followed by {_HEALTHY_STEPS} good steps; go on from the oldest, or choose "
            "another --output:"
        )
        start = [f"--resume-from {oldest}"]
    else:
        advice = f"the checkpoint of step {healthy} was followed by {step - 1 - healthy} good steps; go on from it:"
        start = [f"--resume-from {healthy}"]
    command = " ".join(["rethink-fr train --output", shlex.quote(printable(output)), *start, *lower])
    return f"{said}; {advice} {command}"
