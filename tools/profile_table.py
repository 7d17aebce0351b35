"""Where the time of a training step goes, by kind of operation, from a profile that TensorBoard can show too.

    python tools/bench_training_step.py --resolution 128 --width 0.5 --batch 8 --profile profile
    python tools/profile_table.py profile --steps 3

Seconds are those that the operation's own thread spent in it, a step; operations run side by side, so that the sum may
be more than the step took. "share" is of that sum. An operation that splits its work over the cores counts once.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Iterator, Tuple

from tensorflow.tsl.profiler.protobuf import xplane_pb2

_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "If", "StatelessWhile", "StatelessIf")  # hold others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", type=Path, help="the folder that was given to --profile")
    parser.add_argument("--steps", type=int, default=3, help="that were profiled")
    parser.add_argument("--top", type=int, default=20, help="rows")
    arguments = parser.parse_args()

    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for kind, spent in _operations(arguments.profile):
        seconds[kind] += spent / arguments.steps
        calls[kind] += 1
    if not seconds:
        raise SystemExit(f"{arguments.profile}: no profile of operations in it; expected plugins/profile/*/*.xplane.pb")
    total = sum(seconds.values())
    print("| operation | seconds a step | share | calls a step |\n|---|---|---|---|")
    for kind, spent in seconds.most_common(arguments.top):
        print(f"| {kind} | {spent:.3f} | {spent / total:.1%} | {calls[kind] / arguments.steps:.0f} |")
    print(f"| all {len(seconds)} kinds | {total:.3f} | | {sum(calls.values()) / arguments.steps:.0f} |")


def _operations(folder: Path) -> Iterator[Tuple[str, float]]:
    """The kind and the seconds of each operation that a profile has; the profiler names them "name:Kind"."""
    for path in folder.rglob("*.xplane.pb"):
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
        for plane in space.planes:
            for line in plane.lines:
                for event in line.events:
                    name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                    # "ExecutorState::Process" and "FunctionRun: train_step" are no operations: they run them
                    if colon and not name.endswith(":") and kind.isidentifier() and kind not in _CALLS:
                        yield kind, event.duration_ps / 1e12


if __name__ == "__main__":
    main()
