"""Pairs files of several folders by name, reads them at one size, and reads who is on them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import (
    Any,
    Dict,
    Generic,
    Hashable,
    Iterator,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import numpy as np

from rethink_fr.data.sources.record_files import list_shards
from rethink_fr.data.sources.records import RecordSource
from rethink_fr.evaluation.celeba import celeba_identities, is_identity_list
from rethink_fr.files.names import printable
from rethink_fr.files.reading import is_folder, read_csv
from rethink_fr.pictures.files import UnreadableImage, read_image, square_resize
from rethink_fr.pictures.listing import IMAGE_SUFFIXES, list_images

Resize = Union[None, Literal["reference"], int]  # see `read_together`

SOURCE = "source"  # in the place of a file of identities; see `read_identities`
_SHOWN = 3  # names in one error


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class SameSize(Generic[Key]):
    """The pictures of one name, all of one size."""

    pictures: Dict[Key, np.ndarray]  # by folder: uint8 RGB [H, W, 3]
    resized: Tuple[Key, ...]  # the folders whose pictures had another size


def pair_by_name(folders: Mapping[str, Union[str, Path]]) -> List[Dict[str, Path]]:
    """Pair the files that have the same name in several folders, at any depth.

    Endings may differ: `sub/a.png` and `sub/a.jpg` are a pair.

        pair_by_name({"restored": "ours", "reference": "clean"})
        # [{"restored": Path("ours/a.png"), "reference": Path("clean/a.jpg")}, ...]

    Args:
        folders: paths by what the folders are called here.

    Returns:
        The files of each name, by folder, in the order of the names. Every file of every folder is in exactly one.

    Raises:
        ValueError: if a folder is missing or empty, if two of its files share a name, or if a file has no partner; the
            message names it.
    """
    named = {what: files_by_name(folder) for what, folder in folders.items()}
    check_pairs(named, folders)
    return [{what: files[name] for what, files in named.items()} for name in next(iter(named.values()))]


def check_pairs(named: Mapping[str, Mapping[str, Path]], folders: Mapping[str, Union[str, Path]]) -> None:
    """Check that several folders hold files of the same names.

    Args:
        named: the files of each folder, by name.
        folders: their paths, for errors.

    Raises:
        ValueError: naming a file that has no partner.
    """
    first, *others = named
    for other in others:
        for here, there in ((first, other), (other, first)):
            alone = [name for name in named[here] if name not in named[there]]
            if alone:
                files = listed([str(named[here][name]) for name in alone])
                raise ValueError(
                    f"{files}: no image of that name in {printable(folders[there])}; "
                    f"expected each {here} image to have its {there} one (endings may differ)"
                )


def read_together(pair: Mapping[Key, Path], resize: Resize = None, reference: Any = "reference") -> SameSize[Key]:
    """Read the pictures of one name, and bring them to one size.

    Pictures are resized as `restore` and `train` do it: the central square, by Lanczos. Restorers return squares of
    their own resolution; so what they return lies exactly on what it was made from.

    Args:
        pair: files by folder, or by whatever tells them apart.
        resize: None: the sizes must be equal. `"reference"`: pictures of unequal sizes get the size of the reference,
            or of its central square if it is not square; equal ones stay as they are. A number: the side in pixels that
            all pictures get, the reference too.
        reference: which of them is the reference; if it is not there, the first picture takes its place.

    Raises:
        UnreadableImage: naming the file that cannot be read, or has another size although `resize` is None.
    """
    pictures = {what: read_image(path) for what, path in pair.items()}
    reference = reference if reference in pictures else next(iter(pictures))
    rows, columns, _ = pictures[reference].shape
    other = next((what for what, picture in pictures.items() if picture.shape[:2] != (rows, columns)), None)
    if resize is None and other is not None:
        height, width, _ = pictures[other].shape
        raise UnreadableImage(
            str(pair[other]),
            f"{width} x {height} pixels, expected {columns} x {rows} as {printable(pair[reference])} has; "
            "add --resize, or resize one of them",
        )
    if resize is None or (resize == "reference" and other is None):
        return SameSize(pictures, ())
    side = min(rows, columns) if resize == "reference" else int(resize)
    squares = {what: square_resize(picture, side) for what, picture in pictures.items()}
    return SameSize(squares, tuple(what for what, one in squares.items() if one.shape != pictures[what].shape))


def check_resize(resize: Resize) -> None:
    """Check that `resize` is None, `"reference"` or a sensible number of pixels.

    Raises:
        ValueError: saying what was expected.
    """
    if resize not in (None, "reference") and not (isinstance(resize, int) and 8 <= resize <= 4096):
        raise ValueError(f"--resize {resize}: expected 8 to 4096 pixels, or no number: the references' sizes")


def read_identities(
    path: Union[str, Path], names: Sequence[str], mapping: Optional[Union[str, Path]] = None
) -> Dict[str, str]:
    """Read who is on each picture, from a CSV file with the columns `name` and `identity`, a prepared folder, or the
    list that CelebA publishes.

    Args:
        path: of a folder made by `rethink-fr prepare` with identities, or of the file, in UTF-8. Names are paths
            relative to the folder of pictures, with or without ending; bytes that are not UTF-8 are written as reports
            show them, such as `\\udce9`. Other columns, and names that are not asked for, are ignored. The word
            `"source"` instead: every source picture is an identity of its own, whose members are its reference and its
            restorations ("Rethinking Deep Face Restoration", section 5.3).
        names: of the pictures, without endings, with `/` between folders.
        mapping: of CelebA-HQ's pictures to CelebA's, if `path` is CelebA's list and the pictures are of CelebA-HQ; see
            `rethink_fr.evaluation.celeba`.

    Returns:
        The identity of each of `names`.

    Raises:
        ValueError: naming `path`, if it cannot be read, lacks a column or a name, or contradicts itself.
    """
    if str(path) == SOURCE:
        return {name: name for name in names}
    shown, asked = printable(path), {printable(name): name for name in names}
    rows: Iterator[List[str]] = _prepared_rows(Path(path)) if is_folder(path) else read_csv(path)
    first = next(rows, [])
    if is_identity_list(first):
        found = celeba_identities(path, itertools.chain([first], rows), names, mapping)
        names_there = "number in CelebA-HQ" if mapping else "name in CelebA, or --identity-mapping for CelebA-HQ"
        return _complete(found, names, f"{shown}: no identity for", f"expected each picture's {names_there}")
    if mapping is not None:
        raise ValueError(f"{shown}: is not CelebA's list of identities, which a mapping is for; leave the mapping out")
    head = [cell.strip() for cell in first]
    if head.count("name") != 1 or head.count("identity") != 1:
        raise ValueError(f"{shown}: expected a first line 'name,identity' and one line for each image")
    of_name, of_identity = head.index("name"), head.index("identity")
    found = {}
    for number, row in enumerate(rows, start=2):
        if not row:  # an empty line
            continue
        name, identity = (row[place].strip() if place < len(row) else "" for place in (of_name, of_identity))
        if not name or not identity:
            raise ValueError(f"{shown}: line {number} lacks a name or an identity")
        file = PurePosixPath(name)
        if file.name in ("", ".."):
            raise ValueError(f"{shown}: line {number} has the name {_quoted(name)}, which no image can have")
        for key in (asked[one] for one in {str(file), _without_ending(file)} if one in asked):
            if found.setdefault(key, identity) != identity:
                raise ValueError(f"{shown}: line {number} gives {_quoted(name)} another identity than a line before")
    return _complete(found, names, f"{shown}: no identity for", "add a line for each image")


def _complete(found: Mapping[str, str], names: Sequence[str], what: str, advice: str) -> Dict[str, str]:
    """The identities in the order of the names; an error if one is missing."""
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{what} {listed(missing)}; {advice}")
    return {name: found[name] for name in names}


def _prepared_rows(folder: Path) -> Iterator[List[str]]:
    """Names and identities in a prepared folder, as the rows of a CSV file."""
    if not list_shards(folder):
        raise ValueError(f"{printable(folder)}: expected a CSV file, or a folder made by `rethink-fr prepare`")
    yield ["name", "identity"]
    for found in RecordSource(folder, 1, cache_bytes=0).columns():
        if found.identity is not None:
            yield [printable(found.name), found.identity]


def image_name(path: Path, folder: Union[str, Path]) -> str:
    """The name by which a file is paired: its path below `folder`, without ending, with `/` between folders."""
    return path.relative_to(folder).with_suffix("").as_posix()


def files_by_name(folder: Union[str, Path]) -> Dict[str, Path]:
    """The image files of a folder by the names that they are paired by; see `image_name`.

    Raises:
        ValueError: if the folder is missing or empty, or if two of its files share a name.
    """
    files: Dict[str, Path] = {}
    for path in list_images(folder):
        name = image_name(path, folder)
        if name in files:
            raise ValueError(f"{printable(path)}: has the same name as {printable(files[name].name)}; keep one of them")
        files[name] = path
    if not files:
        raise ValueError(
            f"{printable(folder)}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth"
        )
    return files


def _without_ending(file: PurePosixPath) -> str:
    """A name without the ending of an image: `a.v2.png` becomes `a.v2`, which stays as it is."""
    return str(file.with_suffix("") if file.suffix.lower() in IMAGE_SUFFIXES else file)


def _quoted(name: str) -> str:
    return f"'{printable(name[:80])}'"


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
