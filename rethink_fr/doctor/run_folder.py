"""Checks of the run's folder: may it be written, what is in it, and is there room for what will be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Optional

from rethink_fr.config.sections import Experiment
from rethink_fr.doctor.findings import Finding, sized
from rethink_fr.files import stores
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.locks import is_locked
from rethink_fr.files.names import printable
from rethink_fr.files.writing import check_writable
from rethink_fr.runs.checkpoint_files import choose_checkpoint
from rethink_fr.runs.config_file import changed_keys
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, LOCK, started_config
from rethink_fr.runs.resolve import refused_changes


def check_output(output: Path) -> Finding:
    """Whether the run's folder can be written. A small file is made beside it or in it, and removed again.

    Raises:
        WriteError, OSError: if it cannot.
    """
    if is_remote(output):
        stores.listing_before_writing(output)
        return Finding("output", "ok", f"{printable(output)} can be written")
    if output.exists() and not output.is_dir():
        return Finding(
            "output", "fails", f"{printable(output)} is a file, expected a folder", "choose another --output"
        )
    check_writable(output / CONFIG)
    if is_locked(output / LOCK):
        return Finding("output", "fails", f"another process trains in {printable(output)} now", "wait for it")
    return Finding("output", "ok", f"{printable(output)} can be written")


def check_run(config: Experiment, output: Path) -> Finding:
    """Whether the run in the folder can be continued, or there is none.

    Raises:
        ConfigError, CheckpointError: if it cannot.
    """
    started = started_config(output)
    refused = refused_changes(changed_keys(started, config)) if started is not None else []
    if refused:
        found = f"{printable(output)} holds a run with other settings ({', '.join(refused)})"
        return Finding("run", "fails", found, "leave them as they are to continue it, or choose another --output")
    newest = newest_checkpoint(output)
    if newest is None:
        return Finding("run", "ok", f"new: {config.training.steps:,} steps")
    found = f"goes on from step {newest:,} of {config.training.steps:,}"
    if started is not None and newest >= config.training.steps:
        return Finding("run", "warning", f"finished at step {newest:,}", "raise training.steps to go on")
    return Finding("run", "ok", found)


def newest_checkpoint(folder: Path) -> Optional[int]:
    """The step of the newest checkpoint of a run that is whole; None if there never was one.

    Raises:
        CheckpointError: if none is whole.
    """
    from rethink_fr.runs.loading import unreadable

    choice = choose_checkpoint(folder / CHECKPOINTS, unreadable)
    return None if choice is None else choice.step


def check_disk(output: Path, keep: int, checkpoint: int, free: Optional[int] = None) -> Finding:
    """Whether the run's checkpoints find room.

    Args:
        output: the run's folder.
        keep: number of checkpoints that are kept; while one is written there is one more.
        checkpoint: bytes of one.
        free: bytes that are free on the disk; None finds out.
    """
    if is_remote(output):
        return Finding("disk", "ok", f"{keep} checkpoints of {sized(checkpoint)}, on an object store")
    folder = output
    while not os.path.lexists(folder):
        folder = folder.absolute().parent
    free = shutil.disk_usage(folder).free if free is None else free
    there = sum(path.stat().st_size for path in (output / CHECKPOINTS).glob("step-*"))
    needed = max(0, (keep + 1) * checkpoint - there)
    found = f"{keep} checkpoints of {sized(checkpoint)} and one being written; {sized(free)} are free"
    numbers = {"checkpoint_bytes": checkpoint, "needed_bytes": needed, "free_bytes": free}
    advice = "make room, choose another --output, or lower training.keep_checkpoints"
    if free < needed:
        return Finding("disk", "fails", f"{found}, {sized(needed)} are needed", advice, numbers)
    if free < 2 * needed + (1 << 30):  # logs and sample sheets grow, too
        return Finding("disk", "warning", found, advice, numbers)
    return Finding("disk", "ok", found, numbers=numbers)
