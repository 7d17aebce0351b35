"""Folders with several samples of each picture, as `restore --samples N` writes them, paired with their references."""

from __future__ import annotations

from pathlib import Path
from typing import Collection, Dict, Mapping, Optional, Tuple, Union

from rethink_fr.evaluation.pairs import check_pairs, files_by_name, listed
from rethink_fr.files.names import printable

Files = Tuple[Path, ...]  # of one name in one folder: its picture, or its samples in their order
_BESIDE = ("_sheet", "_texture")  # what `restore` writes beside the samples of NAME


def pair_samples(
    methods: Mapping[str, Union[str, Path]], others: Mapping[str, Union[str, Path]]
) -> Dict[str, Dict[str, Files]]:
    """Pair the files of several folders by name, as `rethink_fr.evaluation.pairs.pair_by_name` does.

    A method's folder may hold samples instead of one restoration for each picture; see `group_samples`.

    Args:
        methods: folders of restored pictures.
        others: folders with one picture of each name: `reference`, `degraded`, both or neither. Only one of them tells
            samples from pictures; without one, every file is a picture of its own.

    Returns:
        The files by name and folder, in the order of the names.

    Raises:
        ValueError: as `pair_by_name` and `group_samples`.
    """
    folders = {**methods, **others}
    anchor = next((what for what in ("reference", "degraded") if what in others), None)
    names = files_by_name(others[anchor]) if anchor else {}
    named: Dict[str, Dict[str, Files]] = {}
    for what, folder in folders.items():
        files = names if what == anchor else files_by_name(folder)
        groups = group_samples(files, names, folder) if anchor and what in methods else None
        named[what] = groups or {name: (path,) for name, path in files.items()}
    check_pairs({what: {name: files[0] for name, files in one.items()} for what, one in named.items()}, folders)
    return {name: {what: files[name] for what, files in named.items()} for name in next(iter(named.values()))}


def group_samples(
    files: Mapping[str, Path], names: Collection[str], folder: Union[str, Path]
) -> Optional[Dict[str, Files]]:
    """Group the files of a folder that holds samples: NAME_1, NAME_2, ... up to one number S for every name.

    The rule: beside NAME_sheet and NAME_texture, which are passed over, there is exactly NAME_k for every name and
    every k from 1 to S, and S is two or more. A folder that holds one picture of each name cannot be taken for one of
    samples, whatever the names are, since it has fewer files.

    Args:
        files: those of the folder, by name.
        names: of the references.
        folder: its path, for errors.

    Returns:
        The samples of each name in their order; None if the folder does not hold samples.

    Raises:
        ValueError: if it holds samples and no picture of any reference's own name, but not as many of each.
    """
    beside = {name + end for name in names for end in _BESIDE}
    drawn = [name for name in files if name not in beside]
    count = len(drawn) // len(names)
    expected = {name: [f"{name}_{number}" for number in range(1, count + 1)] for name in names}
    if count >= 2 and set(drawn) == {sample for samples in expected.values() for sample in samples}:
        return {name: tuple(files[sample] for sample in samples) for name, samples in expected.items()}
    if any(name in files for name in names) or not any(f"{name}_1" in files and f"{name}_2" in files for name in names):
        return None
    counts = {name: _count(files, name) for name in names}
    most = max(counts.values())
    fewer = [f"{name} ({count})" for name, count in counts.items() if count < most]
    if fewer:
        raise ValueError(
            f"{printable(folder)}: holds up to {most} samples of a picture, but fewer of {listed(fewer)}; expected "
            f"NAME_1 to NAME_{most} of every reference image"
        )
    samples = {f"{name}_{number}" for name in names for number in range(1, most + 1)}
    other = [str(files[name]) for name in drawn if name not in samples]
    raise ValueError(
        f"{listed(other)}: no sample of a reference image; expected NAME_1 to NAME_{most} of each and no more"
    )


def _count(files: Mapping[str, Path], name: str) -> int:
    """How many samples of a name there are, without a gap."""
    count = 0
    while f"{name}_{count + 1}" in files:
        count += 1
    return count
