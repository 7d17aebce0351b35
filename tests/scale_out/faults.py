"""Work that goes wrong where a test says so, also in processes of workers."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping

from rethink_fr.scale_out.photos import PhotoWork
from rethink_fr.scale_out.work import Item, Write


@dataclass(frozen=True)
class FaultyPhotoWork(PhotoWork):
    """Restores photos, but for faults: by step and name of the input "once", "always", "again" (from
    the second time on) or "kill" (the worker, once)."""

    faults: Mapping[str, str] = None  # type: ignore[assignment]
    seen: str = ""  # a folder with a file for each fault that has happened

    def open(self, item: Item) -> Any:
        self._fault("open", Path(item.inputs[0]).name)
        return super().open(item)

    def infer(self, model: Any, group: Any) -> Any:
        for one in group:
            self._fault("infer", one.path.name)
        return super().infer(model, group)

    def finish(self, item: Item, inferred: Any, write: Write) -> Dict[str, Any]:
        name = Path(item.inputs[0]).name

        def faulty(file: str, data: Any) -> None:
            write(file, data)
            self._fault("finish", name)

        return super().finish(item, inferred, faulty)

    def _fault(self, step: str, name: str) -> None:
        kind = self.faults.get(f"{step} {name}")
        if kind is None:
            return
        mark = Path(self.seen) / f"{step} {name}"
        first = not mark.exists()
        mark.touch()
        if kind == "kill" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "always" or (kind == "once" and first) or (kind == "again" and not first):
            raise RuntimeError(f"{step} of {name} failed")
