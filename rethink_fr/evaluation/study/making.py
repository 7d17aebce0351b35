"""`rethink-fr study make`: a page on which people compare methods without knowing which is which.

As in Appendix D of "Rethinking Deep Face Restoration", each trial shows an input, its ground truth and the methods'
restorations in a random order. The orders go into the key, which the raters do not get. A study of real photographs,
those of LFW-Test and WebPhoto for example, has no ground truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.evaluation.pages import as_data_uri, page
from rethink_fr.evaluation.pairs import Resize, check_resize, image_name, pair_by_name, read_together
from rethink_fr.evaluation.study.files import LETTERS, StudyKey, Trial
from rethink_fr.files.outputs import Outputs

# Our reading of the four criteria of Appendix D, a question for each: identity, realism, detail, artefacts.
_OF_QUALITY = (
    "Which looks most like a real photograph of a face?",
    "Which has the most natural detail, in hair, skin and eyes?",
    "Which has the fewest artefacts?",
)
QUESTIONS = ("Which looks most like the person of the ground truth?", *_OF_QUALITY)
QUESTIONS_WITHOUT_TRUTH = ("Which looks most like the person of the input?", *_OF_QUALITY)
# Of JPEG. Every picture is encoded anew and in the same way, so that neither metadata nor the kind of file tell methods
# apart.
_QUALITY = 95

_Folder = Union[str, Path]


def make_study(
    methods: Mapping[str, _Folder],
    reference: Optional[_Folder],
    degraded: _Folder,
    output: _Folder,
    key: _Folder,
    trials: Optional[int] = None,
    seed: int = 0,
    questions: Optional[Sequence[str]] = None,
    lossless: bool = False,
    resize: Resize = None,
    overwrite: bool = False,
    progress: bool = True,
) -> StudyKey:
    """Write the page and the key of a study.

    Args:
        methods: folders of restored pictures by the methods' names, two to 26.
        reference, degraded: folders with pictures of the same names; they also have the same sizes, unless `resize` is
            given. Without a reference, the page shows no ground truth.
        output: the page, a file to write. It holds all pictures, and no names of methods, folders or images.
        key: another file to write: which method is where.
        trials: number of images to choose at random; None: all of them.
        seed: of that choice, of the order of the trials, and of the order of the methods in each.
        questions: what the raters are asked in every trial; None: the four criteria of the paper's study, or, without
            ground truth, the nearest to them.
        lossless: PNG instead of JPEG of quality 95 without chroma subsampling; the page grows several times.
        resize: `"reference"` or a number of pixels: the size at which pictures are shown; see
            `rethink_fr.evaluation.pairs.read_together`.
        overwrite: whether `output` and `key` may replace files that are there; pictures are never replaced.
        progress: show a bar on stderr if it takes longer than two seconds.

    Raises:
        ValueError: saying what is wrong with the folders, the pictures, the number of trials or the files to write.
    """
    if not 2 <= len(methods) <= len(LETTERS):
        raise ValueError(f"--restored: {len(methods)} methods; expected 2 to {len(LETTERS)}, as NAME=DIR NAME=DIR")
    wrong = [name for name in methods if name in ("reference", "degraded") or not name.strip()]
    if wrong:
        raise ValueError(f"--restored: a method may not be called {wrong[0]!r}; choose another name")
    check_resize(resize)
    if questions is None:
        questions = QUESTIONS if reference else QUESTIONS_WITHOUT_TRUTH
    if not questions or not all(question.strip() for question in questions):
        raise ValueError("--question: is empty; expected what the raters are asked")
    truth: Dict[str, _Folder] = {"reference": reference} if reference else {}
    pairs = pair_by_name({**methods, **truth, "degraded": degraded})
    outputs = Outputs((path for pair in pairs for path in pair.values()), overwrite)
    outputs.claim_writable(output)
    outputs.claim_writable(key, "--key")
    if trials is not None and not 1 <= trials <= len(pairs):
        raise ValueError(f"--trials {trials}: expected 1 to {len(pairs)}, the images there are")

    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(pairs))[:trials]
    names = list(methods)
    laid_out: List[Trial] = []
    shown: List[Dict[str, Any]] = []
    for number, place in enumerate(tqdm(chosen, desc="study", unit="trial", delay=2, disable=not progress), start=1):
        pair = pairs[place]
        order = tuple(names[one] for one in generator.permutation(len(names)))
        together = read_together(pair, resize).pictures  # without a reference, the first method's size counts
        pictures = {what: as_data_uri(one, None, _QUALITY, lossless) for what, one in together.items()}
        laid_out.append(Trial(str(number), image_name(pair["degraded"], degraded), order))
        shown.append(
            {
                "trial": str(number),
                "input": pictures["degraded"],
                **({"truth": pictures["reference"]} if truth else {}),
                "options": [pictures[name] for name in order],
            }
        )
    made = StudyKey(tuple(questions), seed, tuple(names), tuple(laid_out))
    outputs.write_json(key, made.as_json())
    study = {"study": made.study, "questions": list(questions), "trials": shown}  # all that the page's script knows
    shows = {"letters": LETTERS[: len(names)], "truth": bool(truth)}
    outputs.write_bytes(output, page("study.html", questions=questions, study=study, **shows))
    return made
