"""Starts a pipeline over items, and says what came of it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import secrets
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from rethink_fr.files.reading import open_regular, read_json
from rethink_fr.scale_out.output import DEAD_LETTERS, OWN, REPORT_NAME, OutputFolder, read_object
from rethink_fr.scale_out.runners import execute, quiet, require_beam
from rethink_fr.scale_out.work import Item, Work

_ITEMS = 10_000  # in one file of the plan
_LINES = 10_000  # in one file of the report
_LARGEST = 1 << 40  # bytes of all dead letters
_REPORT = re.compile(r"report-\d{5}-of-\d{5}\.jsonl")


class Ran(NamedTuple):
    """What a pipeline did."""

    finished: int
    dead_letters: int
    reports: Tuple[str, ...]  # names of the files with a line for each item
    counts: Dict[str, int]  # our counters; see `runners.execute`


def launch(
    items: Iterable[Item],
    work: Work,
    folder: OutputFolder,
    runner: str,
    options: str = "",
    head: Optional[Dict[str, Any]] = None,
) -> Ran:
    """Run a pipeline over items to its end, and write its report.

    The items are written to files first: a pipeline that held them all would be too large for the runners.

    Args:
        items: as many as there are.
        work: what is done with each.
        folder: where outputs and the report go.
        runner: one of `runners.RUNNERS`.
        options: of the runner.
        head: what `report.json` begins with.

    Raises:
        RunFailure: if the pipeline fails. What was finished is kept, and not done again by the next call.
    """
    require_beam(runner)
    with quiet():
        from rethink_fr.scale_out import pipeline

    earlier = read_object(folder.path(REPORT_NAME)) or {}
    for name in (REPORT_NAME, *filter(_REPORT.fullmatch, map(str, earlier.get("lines", ())))):
        folder.remove(name)
    plan: List[str] = []
    count, token, left = 0, secrets.token_hex(4), iter(items)
    while part := list(itertools.islice(left, _ITEMS)):
        plan.append(f"{OWN}/plan-{token}-{len(plan):05d}.jsonl")
        folder.write(plan[-1], b"".join(item.encoded() for item in part))
        count += len(part)
    files = max(1, -(-count // _LINES))
    reports = [f"report-{number:05d}-of-{files:05d}.jsonl" for number in range(files)]
    build = functools.partial(
        pipeline.build,
        work=work,
        folder=folder,
        plan=plan,
        reports=reports,
        head=json.dumps({**(head or {}), "inputs": count}).encode("ascii"),
    )
    try:
        counts = execute(build, runner, options)
    finally:
        for name in plan:
            with contextlib.suppress(OSError):
                folder.remove(name)
    report = read_json(folder.path(REPORT_NAME), "a report")
    return Ran(report["finished"], report["dead_letters"], tuple(reports), counts)


def dead_letters(folder: OutputFolder) -> List[Tuple[str, str]]:
    """The inputs that became dead letters, with the reasons."""
    with open_regular(folder.path(DEAD_LETTERS), _LARGEST) as lines:
        return [(said["input"], said["error"]) for said in map(json.loads, lines)]
