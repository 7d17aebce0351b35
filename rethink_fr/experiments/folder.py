"""An experiment's folder: what it was begun with, and what is known of each of its parts.

experiment.json               what every run was begun with
faces/                        clean and degraded test pictures, identities.csv
runs/VARIANT/seedK/           a run as `train` leaves it; runs/_start/ for those that others start from
records/VARIANT/seedK/        logs, trained.json, measured.json, failed.json
restored/VARIANT/seedK/       answer/ and samples/
table.md, table.tex, table.json, page.html
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.parsing import plain
from rethink_fr.experiments.plan import Cell, Plan, Run
from rethink_fr.files.locks import LockedError, exclusive_lock, is_locked
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json
from rethink_fr.files.writing import WriteError, write_json
from rethink_fr.runs.config_file import settings
from rethink_fr.runs.folder import LOCK

CLEAN, DEGRADED, IDENTITIES = "clean", "degraded", "identities.csv"  # in the folder of test pictures
TRAINED, MEASURED, FAILED = "trained.json", "measured.json", "failed.json"
_BEGUN, _LOCK = "experiment.json", "part.lock"


class Folder:
    """The folder of one experiment. Several processes may use it at once.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def faces(self) -> Path:
        """The test pictures."""
        return self.path / "faces"

    @property
    def clean(self) -> Path:
        """The clean ones."""
        return self.faces / CLEAN

    @property
    def degraded(self) -> Path:
        """The degraded ones, of the same names."""
        return self.faces / DEGRADED

    @property
    def identities(self) -> Optional[Path]:
        """The file with who is on them; None if that is not known."""
        path = self.faces / IDENTITIES
        return path if path.is_file() else None

    def record_folder(self, place: str) -> Path:
        """Where logs and records of a part are."""
        return self.path / "records" / place

    def restored(self, cell: Cell) -> Path:
        """Where the restored pictures of a cell are."""
        return self.path / "restored" / cell.place

    def read(self, place: str, name: str) -> Optional[Dict[str, Any]]:
        """A record of a part; None if it is not there, or not whole."""
        try:
            found = read_json(self.record_folder(place) / name, "a record of an experiment")
        except UnreadableFile:
            return None
        return found if isinstance(found, dict) else None

    def write(self, place: str, name: str, record: Mapping[str, Any]) -> None:
        """Write a record of a part."""
        write_json(self.record_folder(place) / name, record)

    def forget(self, place: str, name: str) -> None:
        """Remove a record of a part, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.record_folder(place) / name)

    @contextlib.contextmanager
    def taken(self, place: str) -> Iterator[bool]:
        """Take a part for the length of the block. False if another process, or thread, has it."""
        folder = self.record_folder(place)
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(exclusive_lock(folder / _LOCK, "this part"))
            except LockedError:
                yield False
                return
            # The training of a process that was killed may still be saving its run.
            yield not is_locked(self.path / "runs" / place / LOCK)

    def begin(self, plan: Plan) -> None:
        """Note what the experiment is begun with, or compare it with what that was.

        Variants and seeds may be added, training may be longer, and everything that only changes what is shown or
        measured may change. Anything else would put figures of different experiments into one table.

        Raises:
            ConfigError: naming the keys that changed, or if the folder holds something else.
        """
        new = _begun(plan)
        path = self.path / _BEGUN
        if not path.exists():
            if self.path.is_dir() and not all(one.name.startswith(".rfr-") for one in self.path.iterdir()):
                raise ConfigError(
                    f"{printable(self.path)}: is not empty and holds no experiment; choose another --output"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(WriteError):  # another process began at the same time, and is compared with now
                write_json(path, new, replace=False)
        try:
            old = read_json(path, "what an experiment was begun with")
        except UnreadableFile as error:
            raise ConfigError(f"{error}; choose another --output") from None
        changed = _changed(old, new)
        if changed:
            shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
            raise ConfigError(
                f"{printable(self.path)}: this experiment was begun with another {printable(shown)}; leave it as it "
                "was, or choose another --output"
            )
        known = {**old["variants"], **new["variants"]}
        if known != old["variants"]:
            write_json(path, {**old, "variants": known})

    def is_trained(self, run: Run) -> bool:
        """Whether a run was trained for its whole budget."""
        record = self.read(run.place, TRAINED)
        return record is not None and covers(record.get("budget"), run)

    def measured(self, cell: Cell, asked: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        """The record of what was measured of a cell; None if it was not, or not as it is asked for now."""
        record = self.read(cell.place, MEASURED)
        return record if record is not None and record.get("asked") == dict(asked) else None


def covers(budget: Any, run: Run) -> bool:
    """Whether a budget, as a record has it, is no smaller than that of the run."""
    wanted = plain(run.budget)
    return isinstance(budget, dict) and all(budget.get(key, 0) >= wanted[key] for key in wanted)


def _begun(plan: Plan) -> Dict[str, Any]:
    """What decides the figures of an experiment, by dotted key."""
    variants: Dict[str, Dict[str, Any]] = {}
    seed = plan.definition.seeds[0]
    for cell in plan.cells:
        if cell.seed == seed:
            run = cell.run
            values: Dict[str, Any] = {**_settings(run), "budget": plain(run.budget), "run_of": cell.variant.run_of}
            if run.start is not None:
                first = {**_settings(run.start), "budget": plain(run.start.budget)}
                values.update({f"start.{key}": value for key, value in first.items()})
            values["start"] = run.start is not None
            variants[cell.variant.name] = values
    options = plan.options
    of_faces = {"degradation": plain(plan.config.degradation), "resolution": plan.config.model.resolution}
    return {
        "experiment": plan.name,
        "test": options.test,
        "identities": str(options.identities or ""),
        "faces": of_faces,
        "variants": variants,
    }


def _settings(run: Run) -> Dict[str, Any]:
    """The settings of a run but those that belong to the seed and the budget."""
    found = settings(run.resolved())
    return {key: value for key, value in found.items() if key not in ("training.seed", "training.steps")}


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> List[str]:
    found: List[Tuple[str, str]] = []
    for key in ("experiment", "test", "identities", "faces"):
        if old.get(key) != new[key]:
            found.append((_option(key), ""))
    for name, values in new["variants"].items():
        before = old.get("variants", {}).get(name)
        # A setting that one of them lacks is of another version of the program.
        for key in before.keys() & values.keys() if before is not None else ():
            same = before[key] == values[key]
            if key.endswith("budget"):
                same = all(values[key][one] >= before[key].get(one, 0) for one in values[key])
            if not same:
                found.append((key, name))
    by_key: Dict[str, List[str]] = {}
    for key, name in found:
        by_key.setdefault(key, []).append(name)
    return [f"{key} ({', '.join(names)})" if names[0] else key for key, names in sorted(by_key.items())]


def _option(key: str) -> str:
    return {"faces": "degradation or resolution", "experiment": "name"}.get(key, f"--{key}")
