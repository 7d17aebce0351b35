"""Folders of images that belong together: files paired by name, and the identities of a folder's faces."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Union

from rethink_fr.data.image_files import list_images

_SHOWN = 3  # names in one error


def pair_by_name(folders: Mapping[str, Union[str, Path]]) -> List[Dict[str, Path]]:
    """Files of the same name in several folders, at any depth; endings may differ (`sub/a.png` and `sub/a.jpg`).

    Args:
        folders: folders by what they hold, such as `{"restored": ..., "reference": ...}`; the first sets the order.

    Returns:
        One `{what: file}` per name, sorted by name. Every file of every folder is in exactly one.

    Raises:
        ValueError: if a folder is missing or empty, two of its files share a name, or a file has no partner (named).
    """
    named = {what: _by_name(Path(folder)) for what, folder in folders.items()}
    first, *others = named
    for other in others:
        for here, there in ((first, other), (other, first)):
            alone = [name for name in named[here] if name not in named[there]]
            if alone:
                files = _listed([str(named[here][name]) for name in alone])
                raise ValueError(
                    f"{files}: no image of that name in {folders[there]}; "
                    f"expected each {here} image to have its {there} one (endings may differ)"
                )
    return [{what: files[name] for what, files in named.items()} for name in named[first]]


def read_identities(path: Union[str, Path], names: Sequence[str]) -> Dict[str, str]:
    """Identity of each face in `names`, from a CSV file with the columns `name` and `identity`.

    Args:
        path: UTF-8; names are paths relative to the folder of images, with or without ending. Further columns and
            names that are not asked for are ignored.
        names: without endings, with `/` between folders.

    Raises:
        ValueError: naming `path`, if it cannot be read, lacks a column, contradicts itself or misses a name.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; expected a CSV file of identities") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8; save it as one") from error
    if not rows or not {"name", "identity"} <= set(rows[0]):
        raise ValueError(f"{path}: expected a first line 'name,identity' and one line for each image")
    found: Dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        name, identity = (row["name"] or "").strip(), (row["identity"] or "").strip()
        if not name or not identity:
            raise ValueError(f"{path}: line {number} lacks a name or an identity")
        for key in {name, _without_ending(name)}:
            if found.setdefault(key, identity) != identity:
                raise ValueError(f"{path}: line {number} gives {name} another identity than a line before")
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{path}: no identity for {_listed(missing)}; add a line for each image")
    return {name: found[name] for name in names}


def image_name(path: Path, folder: Union[str, Path]) -> str:
    """What a file goes by: its path relative to `folder`, without ending, with `/` between folders."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _by_name(folder: Path) -> Dict[str, Path]:
    files: Dict[str, Path] = {}
    for path in list_images(folder):
        name = image_name(path, folder)
        if name in files:
            raise ValueError(f"{path}: has the same name as {files[name].name}; keep one of them")
        files[name] = path
    if not files:
        raise ValueError(f"{folder}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth")
    return files


def _without_ending(name: str) -> str:
    return Path(name).with_suffix("").as_posix()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
