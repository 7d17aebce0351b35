"""The checkpoint files of a run: which one is read, how they are written, and where damaged ones go.

`choose_checkpoint` is the only place where the checkpoint is chosen that a run continues from or that a network is
loaded from.

The checkpoint of step N is the files `step-N.index` and `step-N.data-*`, which TensorFlow reads, and a record of
their sizes and SHA-256, `step-N.json`. TensorFlow writes into the folder `writing`. What it wrote is synced to the
disk, moved to its place and recorded. From then on the checkpoint counts, and only then older ones are deleted. Nothing
else is ever deleted: damaged checkpoints are moved to the folder `damaged`, and those after the step that a run was
told to continue from to the folder `aside`. The file `checkpoint` is for TensorFlow's own tools and is not read here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, open_regular, read_json
from rethink_fr.files.writing import clear_temporary, sync_file, sync_folder, write_json, write_text

DAMAGED, ASIDE = "damaged", "aside"
_STATE = "checkpoint"
_WRITING = "writing"
_FILE = re.compile(r"step-(\d{1,18})\.(index|json|data-\d{5}-of-\d{5})")
_LEFTOVER = re.compile(r"step-\d+_temp\w*|checkpoint\.tmp\w*")  # of TensorFlow
_MAX_BYTES = 1 << 50
_TRIES = 3  # of reading beside a process that trains

# Takes the path of a checkpoint, without `.index`; returns why TensorFlow cannot read it, "" if it can.
Probe = Callable[[Path], str]


class CheckpointError(ValueError):
    """There is no checkpoint that can be used where one is needed."""


class Choice(NamedTuple):
    """The checkpoint that was chosen."""

    step: int
    damaged: Dict[int, str]  # newer checkpoints that are damaged: their steps, and what is wrong


def choose_checkpoint(directory: Path, unreadable: Probe, step: Optional[int] = None) -> Optional[Choice]:
    """Choose the newest checkpoint that is whole, that is, whose files have their recorded sizes and SHA-256.

    Args:
        directory: the run's folder `checkpoints`.
        unreadable: tells whether a checkpoint can be read that has no record. Earlier versions wrote such ones.
        step: choose the checkpoint of this step or none; None for the newest.

    Returns:
        None if no checkpoint was ever written here.

    Raises:
        CheckpointError: if there are checkpoints, or once were, but none is whole; or not the one of `step`.
    """
    damaged: Dict[int, str] = {}
    for _ in range(_TRIES):
        steps, damaged = checkpoint_steps(directory), {}
        if step is not None and step not in steps:
            raise CheckpointError(f"{printable(directory)}: no checkpoint of step {step}; {_those(steps)}")
        for candidate in steps[::-1] if step is None else [step]:
            reason = damage(directory, candidate, unreadable)
            if not reason:
                return Choice(candidate, damaged)
            damaged[candidate] = reason
        if checkpoint_steps(directory) == steps:
            break  # otherwise a process that trains has replaced those that were looked at
    if step is not None:
        shown, others = printable(checkpoint_path(directory, step)), set(checkpoint_steps(directory)) - {step}
        raise CheckpointError(f"{shown}: is damaged ({damaged.get(step)}); {_those(sorted(others), 'others')}")
    if damaged or had_checkpoints(directory):
        reasons = "; ".join(f"step-{number}: {reason}" for number, reason in damaged.items()) or "there is none"
        raise CheckpointError(
            f"{printable(directory)}: holds no checkpoint that is whole ({reasons}); put back a copy of one, or choose "
            "another --output. Nothing was changed"
        )
    return None


def damage(directory: Path, step: int, unreadable: Probe) -> str:
    """What is wrong with a checkpoint, in a few words; "" if it is whole. See `choose_checkpoint`."""
    record = _read_record(directory, step)
    if record is None:
        return unreadable(checkpoint_path(directory, step))
    for name, expected in record.items():
        try:
            found = _measured(directory / name)
        except UnreadableFile as error:
            return f"{name}: {error.reason}"
        if found["bytes"] != expected["bytes"]:
            return f"{name} has {found['bytes']:,} bytes, expected {expected['bytes']:,}"
        if found["sha256"] != expected["sha256"]:
            return f"{name} is not what was written (SHA-256)"
    return ""


def checkpoint_path(directory: Path, step: int) -> Path:
    """The path of the checkpoint of a step, as TensorFlow takes it: that of its files, without their endings."""
    return directory / f"step-{step}"


def checkpoint_steps(directory: Path) -> List[int]:
    """The steps of all checkpoints in a run's folder `checkpoints`, in rising order, whether they are whole or not."""
    return sorted(step for step, names in _files(directory).items() if not all(".data-" in name for name in names))


def had_checkpoints(directory: Path) -> bool:
    """Whether there is a checkpoint in a run's folder `checkpoints`, or once was one."""
    if checkpoint_steps(directory) or os.path.lexists(directory / _STATE):
        return True
    return any(_files(folder) for kind in (DAMAGED, ASIDE) for folder in [directory / kind])


def writing_folder(directory: Path) -> Path:
    """Make an empty folder in a run's folder `checkpoints`, into which TensorFlow writes the next checkpoint."""
    folder = directory / _WRITING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def remove_writing(directory: Path) -> None:
    """Remove what is left of a checkpoint that could not be written."""
    shutil.rmtree(directory / _WRITING, ignore_errors=True)


def commit(directory: Path, step: int, keep: int) -> None:
    """Make the files in the `writing_folder` the run's checkpoint of a step, and delete the oldest ones.

    Args:
        directory: the run's folder `checkpoints`.
        step: of the checkpoint.
        keep: number of checkpoints that are kept.

    Raises:
        OSError, WriteError: if the disk does not take it. The earlier checkpoints stay whole.
    """
    folder = directory / _WRITING
    names = sorted(path.name for path in folder.iterdir() if _FILE.fullmatch(path.name))  # data before index
    for name in names:
        sync_file(folder / name)
    measured = {name: _measured(folder / name) for name in names}
    _remove(directory, step, keep_data=True)  # of another attempt
    for name in names:
        os.replace(folder / name, directory / name)
    sync_folder(directory)
    write_json(_record_path(directory, step), {"step": step, "files": measured})
    shutil.rmtree(folder, ignore_errors=True)
    others = [other for other in checkpoint_steps(directory) if other != step]
    old = others[: max(0, len(others) + 1 - keep)]
    _write_state(directory, [*(other for other in others if other not in old), step])
    for other in old:
        _remove(directory, other)


def settle(directory: Path, choice: Choice, continued_from: Optional[int] = None) -> List[str]:
    """Prepare the folder for a run that goes on from a chosen checkpoint, which becomes the newest.

    Newer ones are moved away: to `damaged`, or to `aside` if the user has chosen the step. If the checkpoint has no
    record, it gets one.

    Args:
        directory: the run's folder `checkpoints`.
        choice: from `choose_checkpoint`.
        continued_from: the step that the user has chosen; None if it was not the user's choice.

    Returns:
        Lines that tell the user what was done.
    """
    said = []
    later = [step for step in checkpoint_steps(directory) if step > choice.step]
    for step in later:
        kind = ASIDE if continued_from is not None else DAMAGED
        folder = _set_aside(directory, step, kind)
        reason = f" is damaged ({choice.damaged[step]})" if step in choice.damaged else ""
        shown = printable(checkpoint_path(directory, step))
        said.append(f"{shown}{reason}: moved to {folder.relative_to(directory)}/; continuing from step {choice.step}")
    if _read_record(directory, choice.step) is None:
        names = _files(directory)[choice.step]
        written = sorted(name for name in names if not name.endswith(".json"))
        for name in written:
            sync_file(directory / name)
        measured = {name: _measured(directory / name) for name in written}
        write_json(_record_path(directory, choice.step), {"step": choice.step, "files": measured})
    _write_state(directory, checkpoint_steps(directory))
    return said


def clear_leftovers(directory: Path) -> None:
    """Remove files that killed processes have left unfinished. The process must hold the run's lock."""
    if not directory.is_dir():
        return
    clear_temporary(directory, held=True)
    shutil.rmtree(directory / _WRITING, ignore_errors=True)
    for entry in list(directory.iterdir()):
        if _LEFTOVER.fullmatch(entry.name):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()
    counted = checkpoint_steps(directory)
    for step in _files(directory):
        if step not in counted:  # data that got no index, or that was to be deleted
            _remove(directory, step)


def _files(directory: Path) -> Dict[int, List[str]]:
    """The names of the files of each step."""
    found: Dict[int, List[str]] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(directory):
            match = _FILE.fullmatch(name)
            if match:
                found.setdefault(int(match[1]), []).append(name)
    return found


def _record_path(directory: Path, step: int) -> Path:
    return directory / f"step-{step}.json"


def _read_record(directory: Path, step: int) -> Optional[Dict[str, Dict[str, Any]]]:
    """Size and SHA-256 of each file, from the record; None if there is no valid record."""
    try:
        files = read_json(_record_path(directory, step), "the record of a checkpoint", limit=1 << 20)["files"]
        found = {str(name): {"bytes": int(of["bytes"]), "sha256": str(of["sha256"])} for name, of in files.items()}
    except (UnreadableFile, LookupError, TypeError, ValueError, AttributeError):
        return None
    matches = [_FILE.fullmatch(name) for name in found]
    of_this = all(match is not None and int(match[1]) == step for match in matches)
    return found if of_this and f"step-{step}.index" in found and len(found) > 1 else None


def _measured(path: Path) -> Dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with open_regular(path, _MAX_BYTES) as file:
        try:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
                size += len(block)
        except OSError as error:  # a bad sector
            raise UnreadableFile(path, error.strerror or type(error).__name__) from error
    return {"bytes": size, "sha256": digest.hexdigest()}


def _write_state(directory: Path, steps: List[int]) -> None:
    """Write the list that `tf.train.latest_checkpoint` and other tools of TensorFlow read.

    The newest step is the last one.
    """
    lines = [f'model_checkpoint_path: "step-{steps[-1]}"']
    lines += [f'all_model_checkpoint_paths: "step-{step}"' for step in steps]
    write_text(directory / _STATE, "".join(f"{line}\n" for line in lines))


def _in_order_of_removal(names: List[str]) -> List[str]:
    """Record, index, data: in this order nothing that a dying process leaves is taken for a whole checkpoint."""
    return sorted(names, key=lambda name: (not name.endswith(".json"), not name.endswith(".index"), name))


def _remove(directory: Path, step: int, keep_data: bool = False) -> None:
    for name in _in_order_of_removal(_files(directory).get(step, [])):
        if not (keep_data and ".data-" in name):
            with contextlib.suppress(FileNotFoundError):
                (directory / name).unlink()


def _set_aside(directory: Path, step: int, kind: str) -> Path:
    """Move the files of a checkpoint to the folder `kind`, or to a numbered folder in it if there are others there."""
    names, target, number = _files(directory)[step], directory / kind, 1
    while any(os.path.lexists(target / name) for name in names):
        number += 1
        target = directory / kind / str(number)
    target.mkdir(parents=True, exist_ok=True)
    for name in reversed(_in_order_of_removal(names)):
        os.rename(directory / name, target / name)
    sync_folder(target)
    sync_folder(directory)
    return target


def _those(steps: List[int], what: str = "those") -> str:
    listed = ", ".join(str(step) for step in steps[-20:])
    return f"{what} that are there are of the steps {listed}" if steps else f"there are no {what}"
