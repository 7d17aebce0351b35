"""The files of a human study: its key, and the answers that raters send back. Every field of both is checked."""

from __future__ import annotations

import hashlib
import json
import re
import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple, Union

from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_json

LETTERS = string.ascii_uppercase  # the methods of a trial are called so on the page, from left to right

_MAX_BYTES = 64 << 20  # of a key or of answers; some 100,000 trials fit
_SURROGATES = re.compile("[\ud800-\udfff]")


class Trial(NamedTuple):
    """One comparison: the name of the image, and the methods in the order of the page."""

    trial: str
    name: str
    order: Tuple[str, ...]


class Item(NamedTuple):
    """What is answered once: a question to a trial."""

    name: str  # the trial's; with the question's number after a dot if there are several
    trial: Trial
    question: int  # its place in the key


@dataclass(frozen=True)
class StudyKey:
    """What the page hides: which method is where."""

    questions: Tuple[str, ...]
    seed: int
    methods: Tuple[str, ...]
    trials: Tuple[Trial, ...]

    @property
    def items(self) -> Tuple[Item, ...]:
        """All that a rater answers: each question to each trial. The page's script names them alike."""
        if len(self.questions) == 1:
            return tuple(Item(one.trial, one, 0) for one in self.trials)
        numbers = range(len(self.questions))
        return tuple(Item(f"{one.trial}.{number + 1}", one, number) for one in self.trials for number in numbers)

    @property
    def study(self) -> str:
        """What ties page, key and answers together: 16 hexadecimal digits of the key's SHA-256. It reveals nothing."""
        return hashlib.sha256(json.dumps(self._content()).encode()).hexdigest()[:16]

    def as_json(self) -> Dict[str, Any]:
        """The key in JSON's types, as `read_key` expects it in a file."""
        return {"study": self.study, **self._content()}

    def _content(self) -> Dict[str, Any]:
        one = len(self.questions) == 1
        return {
            **({"question": self.questions[0]} if one else {"questions": list(self.questions)}),
            "seed": self.seed,
            "methods": list(self.methods),
            "trials": [{"trial": one.trial, "name": one.name, "order": list(one.order)} for one in self.trials],
        }


class Answers(NamedTuple):
    """One rater's choices: the method that was preferred in each item, in the order of the key's items."""

    rater: str  # see `rater_name`
    methods: Tuple[str, ...]


def read_key(path: Union[str, Path]) -> StudyKey:
    """Read the key that `study make` wrote, with one question or several.

    Raises:
        ValueError: naming `path`, if it is not a key or was changed.
    """
    found = read_json(path, "a study's key", _MAX_BYTES)
    asked: Dict[str, type] = {"question": str}
    if isinstance(found, dict) and "questions" in found:
        asked = {"questions": list}
    stored = _entry(path, "file", found, {"study": str, **asked, "seed": int, "methods": list, "trials": list})
    questions = tuple(stored["questions"]) if "questions" in stored else (stored["question"],)
    trials = []
    for place, one in enumerate(stored["trials"], start=1):
        entry = _entry(path, f"trial {place}", one, {"trial": str, "name": str, "order": list})
        trials.append(Trial(entry["trial"], entry["name"], tuple(entry["order"])))
    key = StudyKey(questions, stored["seed"], tuple(stored["methods"]), tuple(trials))
    if key.study != stored["study"] or not _fits(key):
        raise ValueError(
            f"{printable(path)}: was changed since study make wrote it; make the study again, or find the original"
        )
    return key


def read_answers(path: Union[str, Path], key: StudyKey) -> Answers:
    """Read what a rater's page wrote, and look up in the key which methods were chosen.

    Raises:
        ValueError: naming `path`, if it is not such a file, is of another study, does not answer each trial once, or
            was changed since the page wrote it. (The checksum finds accidents and clumsy edits; it is not a signature.)
    """
    stored = _object(path, {"study": str, "rater": str, "answers": list, "check": str}, "a rater's answers")
    if stored["study"] != key.study:
        raise ValueError(
            f"{printable(path)}: answers of the study {stored['study'][:32]!r}; the key is of {key.study!r}"
        )
    rater = rater_name(stored["rater"])
    if not rater:
        raise ValueError(f"{printable(path)}: has no rater's name; expected one in the field 'rater'")
    chosen: Dict[str, str] = {}
    letters = LETTERS[: len(key.methods)]
    known = {item.name for item in key.items}
    for place, one in enumerate(stored["answers"], start=1):
        answer = _entry(path, f"answer {place}", one, {"trial": str, "choice": str})
        trial, choice = answer["trial"], answer["choice"]
        if trial not in known:
            raise ValueError(
                f"{printable(path)}: answer {place} is to a trial {trial[:32]!r}, which the study does not have"
            )
        if trial in chosen:
            raise ValueError(f"{printable(path)}: trial {trial} is answered twice; expected one answer to each")
        if len(choice) != 1 or choice not in letters:
            raise ValueError(
                f"{printable(path)}: the answer to trial {trial} is {choice[:32]!r}; "
                f"expected one of {', '.join(letters)}"
            )
        chosen[trial] = choice
    missing = [item.name for item in key.items if item.name not in chosen]
    if missing:
        raise ValueError(
            f"{printable(path)}: {len(missing)} of {len(key.items)} trials have no answer, the first is {missing[0]}"
        )
    if stored["check"] != checksum(stored["study"], stored["rater"], chosen):
        raise ValueError(f"{printable(path)}: was changed since the page wrote it; ask {rater[:32]!r} for the original")
    return Answers(rater, tuple(item.trial.order[LETTERS.index(chosen[item.name])] for item in key.items))


def rater_name(given: str) -> str:
    """A rater's name in the form that is compared: Unicode NFC, without spaces around it, with single ones inside."""
    return " ".join(unicodedata.normalize("NFC", given).split())


def checksum(study: str, rater: str, chosen: Dict[str, str]) -> str:
    """FNV-1a (32 bits) of the answers in the order given. `templates/study.js` computes the same."""
    lines = [study, rater, *(f"{trial}:{choice}" for trial, choice in chosen.items())]
    value = 0x811C9DC5
    text = _SURROGATES.sub("\ufffd", "\n".join(lines))  # as the page's TextEncoder does with what is not Unicode
    for byte in text.encode("utf-8"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:08x}"


def _fits(key: StudyKey) -> bool:
    """Whether every trial has a number of its own, and every method once; and whether there is a question."""
    names = [*key.questions, *key.methods, *(method for one in key.trials for method in one.order)]
    return (
        all(isinstance(name, str) for name in names)
        and len(key.questions) > 0
        and 2 <= len(set(key.methods)) == len(key.methods) <= len(LETTERS)
        and 1 <= len({one.trial for one in key.trials}) == len(key.trials)
        and all(sorted(one.order) == sorted(key.methods) for one in key.trials)
    )


def _object(path: Union[str, Path], fields: Dict[str, type], what: str) -> Dict[str, Any]:
    return _entry(path, "file", read_json(path, what, _MAX_BYTES), fields)


def _entry(path: Union[str, Path], where: str, value: Any, fields: Dict[str, type]) -> Dict[str, Any]:
    """`value`; checks that it is an object with exactly these fields, of these types."""
    names: List[str] = [] if not isinstance(value, dict) else list(value)
    if not isinstance(value, dict) or set(names) != set(fields):
        raise ValueError(
            f"{printable(path)}: the {where} has not the fields {', '.join(fields)}; expected those and no others"
        )
    for name, kind in fields.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise ValueError(f"{printable(path)}: the {where} has a field {name} that is no {kind.__name__}")
    return value
