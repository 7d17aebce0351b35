"""Notices that a run diverges: a scalar that is not finite, or a gradient norm far above what it was."""

from __future__ import annotations

import collections
import math
import statistics
from typing import Deque, Dict, Optional

from rethink_fr.config.sections import TrainingConfig
from rethink_fr.training.callbacks import StepCallback
from rethink_fr.training.loss_scale import SKIPPED

_NORM = "gradient_norm/"
_WINDOW = 200  # steps that the median of a norm is over
_LEAST = 20  # steps before it is compared with: at first norms fall by themselves


class DivergenceError(ArithmeticError):
    """A loss or a gradient norm became infinite or NaN, or a gradient norm exploded.

    Attributes:
        step: the step at which it happened.
        what: what happened, in a few words.
    """

    def __init__(self, message: str, step: int, what: str) -> None:
        super().__init__(message)
        self.step = step
        self.what = what


class DivergenceGuard(StepCallback):
    """Ends training by a `DivergenceError` at the first step with a scalar that is not finite, or an exploding norm.

    The gradient norms of a step that was skipped because float16 overflowed do not count.
    It must come before `SaveCheckpoints`, so that no broken weights are saved. All replicas and workers have the same
    scalars, so that all of them stop at the same step. Medians are over the steps of this call of `train`.

    Args:
        training: of the run, with the two limits on gradient norms.
    """

    def __init__(self, training: TrainingConfig) -> None:
        super().__init__()
        self._limit = training.gradient_norm_limit
        self._ratio = training.gradient_norm_ratio
        self._norms: Dict[str, Deque[float]] = {}

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        for step, scalars in self.by_step(logs):
            if scalars.get(SKIPPED):
                scalars = {name: value for name, value in scalars.items() if not name.startswith(_NORM)}
            bad = [name for name, value in scalars.items() if not math.isfinite(value)]
            what = f"{', '.join(bad)} became non-finite" if bad else self._exploded(scalars)
            if what:
                raise DivergenceError(f"{what} at step {step}; the checkpoints before it are kept", step, what)

    def _exploded(self, scalars: Dict[str, float]) -> str:
        """What is said of the first gradient norm above a limit; "" if there is none."""
        for name, value in scalars.items():
            if not name.startswith(_NORM):
                continue
            if 0 < self._limit < value:
                return f"{name} was {value:.3g}, over training.gradient_norm_limit ({self._limit:g}),"
            if self._ratio:
                before = self._norms.setdefault(name, collections.deque(maxlen=_WINDOW))
                median = statistics.median(before) if len(before) >= _LEAST else math.inf
                if value > self._ratio * median > 0:
                    return f"{name} was {value:.3g}, over {self._ratio:g} times its median of {median:.3g},"
                before.append(float(value))
        return ""
