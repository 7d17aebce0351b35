"""The card of an exported model: what it is, takes, gives, and must not be used for. Markdown."""

from __future__ import annotations

import dataclasses
from importlib import metadata
from pathlib import Path
from typing import List, NamedTuple, Sequence

from rethink_fr import __version__
from rethink_fr.runs.loading import LoadedRun

CARD, LICENCE = "MODEL_CARD.md", "LICENSE"
_UNKNOWN = """Weights have the terms that whoever trained them gives, and those of the pictures they were trained on;
neither is known here."""


class Source(NamedTuple):
    """A network that is exported."""

    loaded: LoadedRun
    weights: str = ""  # what is known about its weights, in Markdown; "" if nothing is


def model_card(source: Source, made: str, interface: Sequence[str], checked: str) -> str:
    """The text of the card; it depends on the model only, not on when or where it was exported.

    Args:
        source: what was exported.
        made: in words, what was made of it.
        interface: lines about what it takes and gives.
        checked: in words, how far it is from the Keras model.
    """
    loaded, weights = source
    inference = loaded.inference
    settings = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(loaded.settings).items())
    parameters = sum(weight.shape.num_elements() for weight in inference.network.weights)
    return f"""# {type(inference.network).__name__}: a blind face restorer

{made}, written by rethink-fr {__version__} from the weights of step {loaded.step}.

* Network: {settings}; {parameters:,} weights.
* Images: RGB, {inference.resolution} x {inference.resolution} pixels, uint8 0 to 255, one face each, framed as in FFHQ.
* {_variety(loaded)}
* {checked}

## What it takes and gives

{_indented(interface)}

## Use and limits

It restores photos of single faces that are blurred, small, noisy or compressed. What it draws is plausible, not what
was there: it is no evidence, and must not be used to identify people. It has the bias of its training pictures, which
this card does not know, and faces unlike them are restored worse. Other pictures than faces come out wrong.

## Licence

The graph and this card are part of rethink-fr, Apache-2.0 (`{LICENCE}`).

{(weights or _UNKNOWN).rstrip()}
"""


def licence_text() -> str:
    """The text of this package's licence."""
    try:
        carried = [file for file in metadata.files("rethink-fr") or () if file.name == LICENCE]
    except metadata.PackageNotFoundError:  # not installed: a clone on the path
        carried = []
    return carried[0].read_text() if carried else (Path(__file__).parents[2] / LICENCE).read_text(encoding="utf-8")


def _variety(loaded: LoadedRun) -> str:
    inference = loaded.inference
    if inference.control == "noise":
        shape = " x ".join(str(size) for size in inference.control_shape[1:])
        if not inference.stochastic:
            return f"Noise: takes {shape} numbers for each face, which have no effect (trained without noise)."
        return f"Noise: {shape} numbers for each face, from N(0, 1); zeros give the one deterministic answer."
    if inference.control == "fidelity":
        return "Fidelity: 0 gives the image made of the codes alone; it is trained with 1."
    return "Nothing random: the same face gives the same restoration."


def _indented(lines: Sequence[str]) -> str:
    indented: List[str] = [f"    {line}" for line in lines]
    return "\n".join(indented)
