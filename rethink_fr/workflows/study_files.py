"""The files of a human study: its key, and what raters send back. Both are checked to the last field."""

from __future__ import annotations

import hashlib
import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple, Union

from rethink_fr.data.image_files import write_atomically

LETTERS = string.ascii_uppercase  # what the methods of a trial are called on the page, from left to right


class Trial(NamedTuple):
    """One comparison: which image, and the methods in the order of the page."""

    trial: str
    name: str
    order: Tuple[str, ...]


@dataclass(frozen=True)
class StudyKey:
    """What the page hides: which method is where. `study` is a hash of all the rest."""

    question: str
    seed: int
    methods: Tuple[str, ...]
    trials: Tuple[Trial, ...]

    @property
    def study(self) -> str:
        """What ties page, key and answers together: 16 hexadecimal digits of a SHA-256; it tells nothing of the key."""
        return hashlib.sha256(json.dumps(self._content()).encode()).hexdigest()[:16]

    def write(self, path: Union[str, Path]) -> None:
        """Write the key as JSON; the file appears whole.

        Raises:
            ValueError: naming `path` if it cannot be written, or holds something else: perhaps the key of another page.
        """
        text = json.dumps({"study": self.study, **self._content()}, indent=1, ensure_ascii=False) + "\n"
        if Path(path).is_file() and Path(path).read_bytes() != text.encode():
            raise ValueError(f"{path}: is there already, perhaps the key of another page; choose another --key")
        write_atomically(path, text.encode())

    def _content(self) -> Dict[str, Any]:
        return {
            "question": self.question,
            "seed": self.seed,
            "methods": list(self.methods),
            "trials": [{"trial": one.trial, "name": one.name, "order": list(one.order)} for one in self.trials],
        }


class Answers(NamedTuple):
    """One rater's choices: the method that was preferred in each trial, in the key's order."""

    rater: str
    methods: Tuple[str, ...]


def read_key(path: Union[str, Path]) -> StudyKey:
    """The key that `study make` wrote.

    Raises:
        ValueError: naming `path`, if it is none or was changed.
    """
    stored = _object(
        path, {"study": str, "question": str, "seed": int, "methods": list, "trials": list}, "a study's key"
    )
    trials = []
    for place, one in enumerate(stored["trials"], start=1):
        entry = _entry(path, f"trial {place}", one, {"trial": str, "name": str, "order": list})
        trials.append(Trial(entry["trial"], entry["name"], tuple(entry["order"])))
    key = StudyKey(stored["question"], stored["seed"], tuple(stored["methods"]), tuple(trials))
    if key.study != stored["study"] or not _fits(key):
        raise ValueError(f"{path}: was changed since study make wrote it; make the study again, or find the original")
    return key


def read_answers(path: Union[str, Path], key: StudyKey) -> Answers:
    """What a rater's page wrote, resolved by the key.

    Raises:
        ValueError: naming `path`, if it is no such file, of another study, or does not answer each trial once; or if it
            was changed since the page wrote it. The checksum finds accidents and clumsy edits, it is no signature.
    """
    stored = _object(path, {"study": str, "rater": str, "answers": list, "check": str}, "a rater's answers")
    if stored["study"] != key.study:
        raise ValueError(f"{path}: answers of the study {stored['study'][:32]!r}; the key is of {key.study!r}")
    if not stored["rater"].strip():
        raise ValueError(f"{path}: has no rater's name; expected one in the field 'rater'")
    chosen: Dict[str, str] = {}
    letters = LETTERS[: len(key.methods)]
    known = {one.trial for one in key.trials}
    for place, one in enumerate(stored["answers"], start=1):
        answer = _entry(path, f"answer {place}", one, {"trial": str, "choice": str})
        trial, choice = answer["trial"], answer["choice"]
        if trial not in known:
            raise ValueError(f"{path}: answer {place} is to a trial {trial[:32]!r}, which the study does not have")
        if trial in chosen:
            raise ValueError(f"{path}: trial {trial} is answered twice; expected one answer to each")
        if len(choice) != 1 or choice not in letters:
            raise ValueError(
                f"{path}: the answer to trial {trial} is {choice[:32]!r}; expected one of {', '.join(letters)}"
            )
        chosen[trial] = choice
    missing = [one.trial for one in key.trials if one.trial not in chosen]
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} of {len(key.trials)} trials have no answer, the first is {missing[0]}"
        )
    if stored["check"] != checksum(stored["study"], stored["rater"], chosen):
        raise ValueError(f"{path}: was changed since the page wrote it; ask {stored['rater'][:32]!r} for the original")
    return Answers(stored["rater"], tuple(one.order[LETTERS.index(chosen[one.trial])] for one in key.trials))


def checksum(study: str, rater: str, chosen: Dict[str, str]) -> str:
    """FNV-1a (32 bits) of the answers in the order given; the page computes the same."""
    lines = [study, rater, *(f"{trial}:{choice}" for trial, choice in chosen.items())]
    value = 0x811C9DC5
    for byte in "\n".join(lines).encode(errors="replace"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:08x}"


def read_json(path: Union[str, Path], what: str) -> Any:
    """A JSON file's value.

    Raises:
        ValueError: naming `path`, if it is none; `what` says what was expected.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; expected a JSON file, {what}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file; expected {what}") from error


def _fits(key: StudyKey) -> bool:
    """Whether each trial has an id of its own and every method once."""
    names = [*key.methods, *(method for one in key.trials for method in one.order)]
    return (
        all(isinstance(name, str) for name in names)
        and 2 <= len(set(key.methods)) == len(key.methods) <= len(LETTERS)
        and 1 <= len({one.trial for one in key.trials}) == len(key.trials)
        and all(sorted(one.order) == sorted(key.methods) for one in key.trials)
    )


def _object(path: Union[str, Path], fields: Dict[str, type], what: str) -> Dict[str, Any]:
    return _entry(path, "file", read_json(path, what), fields)


def _entry(path: Union[str, Path], where: str, value: Any, fields: Dict[str, type]) -> Dict[str, Any]:
    """`value` if it is an object with exactly these fields."""
    names: List[str] = [] if not isinstance(value, dict) else list(value)
    if not isinstance(value, dict) or set(names) != set(fields):
        raise ValueError(f"{path}: the {where} has not the fields {', '.join(fields)}; expected those and no others")
    for name, kind in fields.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise ValueError(f"{path}: the {where} has a field {name} that is no {kind.__name__}")
    return value
