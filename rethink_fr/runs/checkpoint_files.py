"""Which checkpoint of a run counts: the one place where it is chosen, and how its files come and go.

A checkpoint of step N is `step-N.index` and `step-N.data-*`, which TensorFlow reads, and its record `step-N.json`,
which has the sizes and SHA-256 of those. TensorFlow writes in a folder of its own (`writing`); what it wrote is synced
to the disk, moved to its place, and recorded: then it counts, and only then older ones go. The file `checkpoint` is for
TensorFlow's own tools, nothing here believes it. Nothing is deleted but by rotation: what is damaged goes to the folder
`damaged`, what was taken after the step that a run is continued from, to `aside`.
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
_TRIES = 3  # a reader's, beside a process that trains

# Why TensorFlow cannot read a checkpoint of this path, without `.index`; "" if it can.
Probe = Callable[[Path], str]


class CheckpointError(ValueError):
    """No usable checkpoint where one was expected."""


class Choice(NamedTuple):
    """A checkpoint that is whole."""

    step: int
    damaged: Dict[int, str]  # the newer ones, which are not, and why


def checkpoint_path(directory: Path, step: int) -> Path:
    """What TensorFlow calls the checkpoint of a step: its files begin with this."""
    return directory / f"step-{step}"


def checkpoint_steps(directory: Path) -> List[int]:
    """The steps of the checkpoints in a run's folder `checkpoints`, whole or not, in their order."""
    return sorted(step for step, names in _files(directory).items() if not all(".data-" in name for name in names))


def had_checkpoints(directory: Path) -> bool:
    """Whether this folder holds, or once held, a checkpoint."""
    if checkpoint_steps(directory) or os.path.lexists(directory / _STATE):
        return True
    return any(_files(folder) for kind in (DAMAGED, ASIDE) for folder in [directory / kind])


def newest_whole(directory: Path, unreadable: Probe, step: Optional[int] = None) -> Optional[Choice]:
    """The newest checkpoint that is whole: with the sizes and SHA-256 that were recorded of it, or else readable.

    Args:
        directory: the run's folder `checkpoints`.
        unreadable: is asked about checkpoints without a record, which earlier versions wrote.
        step: of the only checkpoint that will do; None for any.

    Returns:
        None if no checkpoint was ever written here.

    Raises:
        CheckpointError: if there were some but none is whole, or not the one of `step`.
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
    """Why a checkpoint is not whole, in a few words; "" if it is. See `newest_whole`."""
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


def writing_folder(directory: Path) -> Path:
    """An empty folder in the run's folder `checkpoints`, for TensorFlow to write the next checkpoint in."""
    folder = directory / _WRITING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def remove_writing(directory: Path) -> None:
    """Remove what a write that failed has left of a checkpoint."""
    shutil.rmtree(directory / _WRITING, ignore_errors=True)


def commit(directory: Path, step: int, keep: int) -> None:
    """Make what lies in the `writing_folder` the run's checkpoint of `step`; the oldest of more than `keep` go.

    Raises:
        OSError, WriteError: if the disk does not take it; what was there before is whole then.
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
    """Make a chosen checkpoint the newest of its folder: what a run does before it goes on from it.

    It gets a record if it has none; damaged ones go to `damaged`, later ones than `continued_from` to `aside`; the list
    for TensorFlow's tools is written anew.

    Returns:
        What was done that the user should know, a line each.
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
    """Remove what killed processes left unfinished; only for the process that holds the run's lock."""
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
    """Names of the files of each step."""
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
    """Size and SHA-256 of each file; None if there is no record, or none that says this."""
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
    """The list that `tf.train.latest_checkpoint` and TensorFlow's other tools read; `steps` end with the newest."""
    lines = [f'model_checkpoint_path: "step-{steps[-1]}"']
    lines += [f'all_model_checkpoint_paths: "step-{step}"' for step in steps]
    write_text(directory / _STATE, "".join(f"{line}\n" for line in lines))


def _in_order_of_removal(names: List[str]) -> List[str]:
    """Record, index, data: whatever is left when a process dies in between, is not mistaken for a whole checkpoint."""
    return sorted(names, key=lambda name: (not name.endswith(".json"), not name.endswith(".index"), name))


def _remove(directory: Path, step: int, keep_data: bool = False) -> None:
    for name in _in_order_of_removal(_files(directory).get(step, [])):
        if not (keep_data and ".data-" in name):
            with contextlib.suppress(FileNotFoundError):
                (directory / name).unlink()


def _set_aside(directory: Path, step: int, kind: str) -> Path:
    """Move a checkpoint's files to the folder `kind`, or to a numbered one in it if their names are taken there."""
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
