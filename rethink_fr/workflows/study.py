"""`rethink-fr study make`: blind comparisons of methods for people.

"Rethinking Deep Face Restoration", Appendix D: each trial shows an input, its ground truth and the methods'
restorations in a random order of its own. The order goes into the key, which the raters do not get.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Optional, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.data.image_files import read_image, write_atomically
from rethink_fr.data.pairs import image_name, pair_by_name
from rethink_fr.workflows.study_files import LETTERS, StudyKey, Trial
from rethink_fr.workflows.study_page import PageTrial, study_page
from rethink_fr.workflows.web_page import as_data_uri

QUESTION = "Which restoration is the best: like the ground truth in identity, and natural?"
_QUALITY = 95  # of JPEG, the same for every picture

_Folder = Union[str, Path]


def make_study(
    methods: Mapping[str, _Folder],
    reference: _Folder,
    degraded: _Folder,
    page: _Folder,
    key: _Folder,
    trials: Optional[int] = None,
    seed: int = 0,
    question: str = QUESTION,
    lossless: bool = False,
    progress: bool = True,
) -> StudyKey:
    """Write the page and the key of a study.

    Args:
        methods: folders of restored images by the methods' names, two to 26.
        reference, degraded: folders with images of the same names and sizes.
        page, key: files to write; the page holds all pictures, and no names of methods, folders or images.
        trials: number of images to choose at random; None: all of them.
        seed: of that choice, of the order of trials and of the methods in each.
        question: what the raters are asked.
        lossless: PNG instead of JPEG of quality 95 without chroma subsampling; the page grows several times.
        progress: show a bar on stderr if it takes longer than two seconds.

    Raises:
        ValueError: naming what is wrong with folders, images, the number of trials or the files to write.
    """
    if not 2 <= len(methods) <= len(LETTERS):
        raise ValueError(f"--restored: {len(methods)} methods; expected 2 to {len(LETTERS)}, as NAME=DIR NAME=DIR")
    wrong = [name for name in methods if name in ("reference", "degraded") or not name.strip()]
    if wrong:
        raise ValueError(f"--restored: a method may not be called {wrong[0]!r}; choose another name")
    if Path(page).resolve() == Path(key).resolve():
        raise ValueError(f"--key {key}: is the page itself; expected another file, which the raters do not get")
    pairs = pair_by_name({**methods, "reference": reference, "degraded": degraded})
    if trials is not None and not 1 <= trials <= len(pairs):
        raise ValueError(f"--trials {trials}: expected 1 to {len(pairs)}, the images there are")

    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(pairs))[:trials]
    names = list(methods)
    laid_out: List[Trial] = []
    shown: List[PageTrial] = []
    for number, place in enumerate(tqdm(chosen, desc="study", unit="trial", delay=2, disable=not progress), start=1):
        pair = pairs[place]
        order = tuple(names[one] for one in generator.permutation(len(names)))
        pictures = _pictures(pair, lossless)
        laid_out.append(Trial(str(number), image_name(pair["reference"], reference), order))
        shown.append(
            {
                "trial": str(number),
                "input": pictures["degraded"],
                "truth": pictures["reference"],
                "options": [pictures[name] for name in order],
            }
        )
    made = StudyKey(question, seed, tuple(names), tuple(laid_out))
    made.write(key)
    write_atomically(page, study_page(made.study, question, shown))
    return made


def _pictures(pair: Mapping[str, Path], lossless: bool) -> Dict[str, str]:
    """Each encoded anew in the same way: neither metadata nor the kind of file may tell methods apart."""
    pictures = {what: read_image(path) for what, path in pair.items()}
    shape = pictures["reference"].shape
    for what, picture in pictures.items():
        if picture.shape != shape:
            raise ValueError(
                f"{pair[what]}: {picture.shape[1]} x {picture.shape[0]} pixels, expected {shape[1]} x {shape[0]} "
                f"as {pair['reference']} has; resize one of them"
            )
    return {what: as_data_uri(picture, None, _QUALITY, lossless) for what, picture in pictures.items()}
