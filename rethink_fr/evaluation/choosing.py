"""Which metrics are computed: those that were asked for, as far as what they need is there."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from rethink_fr.evaluation.needs import Loaders, Missing, load_needs
from rethink_fr.metrics.metric import Metric, Protocol
from rethink_fr.metrics.table import GROUPS, METRICS


class Choice(NamedTuple):
    """What is computed, with what, and what is not."""

    metrics: Tuple[Metric, ...]
    tools: Dict[str, Any]  # networks, statistics and identities, by need
    lacking: Tuple[Tuple[str, str], ...]  # (metric, what to do so that it can be computed)

    def without(self, names: Sequence[str], reason: str) -> Choice:
        """The same without some of its metrics, which are lacking for `reason`."""
        left = tuple(metric for metric in self.metrics if metric.name not in names)
        return Choice(left, self.tools, (*self.lacking, *((name, reason) for name in names)))


def named_metrics(names: Optional[Sequence[str]], protocol: Protocol) -> List[Metric]:
    """The metrics of a protocol that have these names, each once, in the order given.

    Args:
        names: of metrics, or of groups of them; None: all that the protocol offers.
        protocol: which one.

    Raises:
        ValueError: naming what the protocol does not have, or if nothing is asked for.
    """
    offered = METRICS[protocol]
    if names is None:
        return list(offered.values())
    asked: List[str] = []
    for name in names:
        asked += [member for member in GROUPS[name] if member in offered] if name in GROUPS else [name]
    unknown = [name for name in asked if name not in offered]
    if unknown or not asked:
        elsewhere = [name for name in unknown if any(name in metrics for metrics in METRICS.values())]
        also = f"; {', '.join(elsewhere)} is of another --protocol" if elsewhere else ""
        raise ValueError(f"--metrics: {', '.join(unknown) or 'none'}; expected some of {', '.join(offered)}{also}")
    return [offered[name] for name in dict.fromkeys(asked)]


def choose(
    asked: Sequence[Metric],
    people: Optional[Mapping[str, str]],
    reference: bool,
    degraded: bool,
    samples: bool,
    loaders: Loaders,
) -> Choice:
    """Load what these metrics need, and tell those that can be computed from the others.

    Args:
        asked: the metrics.
        people: who is on each picture, if that is known: the need `identities`.
        reference: whether the references are there.
        degraded: whether the degraded pictures are there.
        samples: whether some folder has several samples of each picture.
        loaders: what loads each other need.

    Raises:
        ValueError: for files that were given and cannot be used.
    """
    pictures = {
        "reference": _there(reference or None, "compares with references; add --reference DIR"),
        "identities": _there(
            people, "needs to know who is on each picture; add --identities CSV with the columns name,identity"
        ),
        "degraded": _there(degraded or None, "needs what was restored; add --degraded DIR"),
        "samples": _there(samples or None, "needs several samples of each picture; restore with --samples N"),
    }
    needs = dict.fromkeys(need for metric in asked for need in metric.needs)
    tools, absent = load_needs(needs, {**loaders, **pictures})
    reasons = {metric.name: [absent[need] for need in metric.needs if need in absent] for metric in asked}
    return Choice(
        tuple(metric for metric in asked if not reasons[metric.name]),
        tools,
        tuple((name, "; ".join(of_metric)) for name, of_metric in reasons.items() if of_metric),
    )


def _there(value: Any, otherwise: str) -> Callable[[], Any]:
    """A function that returns `value`, or says what to do if it is None."""

    def load() -> Any:
        if value is None:
            raise Missing(otherwise)
        return value

    return load
