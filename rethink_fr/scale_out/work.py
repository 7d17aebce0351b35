"""What a pipeline does with each of its items: the part that differs between commands."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple, Union

from rethink_fr.files.outputs import OutputError
from rethink_fr.files.reading import read_bytes
from rethink_fr.files.writing import LongNameError
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.photos import UnwritableImage

Write = Callable[[str, Union[bytes, memoryview]], None]  # a file of the output folder: its name, and its contents

# What is wrong with an item itself: it becomes a dead letter, and no other try is made.
REFUSALS = (UnreadableImage, UnwritableImage, OutputError, LongNameError, MemoryError)


@dataclass(frozen=True)
class Item:
    """What is done as one: all of it, or nothing."""

    number: int  # its place among all items
    key: str  # no other item has this one; it stays the same when the call is made again
    inputs: Tuple[str, ...]  # paths or addresses of the files that it is made from
    task: Dict[str, Any]  # what else its `Work` has to know, as JSON

    @property
    def digest(self) -> str:
        """A name for what belongs to this item: 32 hexadecimal digits."""
        return hashlib.sha256(self.key.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def encoded(self) -> bytes:
        """As a line of JSON. Names that are not Unicode stay what they are."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    @staticmethod
    def decoded(line: bytes) -> Item:
        """The item of a line of JSON."""
        found = json.loads(line)
        return Item(found["number"], found["key"], tuple(found["inputs"]), found["task"])


class Work:
    """What is done with items. It is sent to the workers by pickling, and loads there what it needs.

    The steps are `open` (each item), `infer` (several together, if `has_model`) and `finish` (each). An item may go
    through them more than once, on different machines at the same time: the same must come out. Nobody knows an item
    but these steps, so that they may change what they are given.
    """

    has_model = True

    def load(self) -> Any:
        """The model, once for a process."""
        raise NotImplementedError

    def open(self, item: Item) -> Any:
        """Read an item.

        Raises:
            one of `REFUSALS`: if it cannot be used.
        """
        raise NotImplementedError

    def infer(self, model: Any, group: Sequence[Any]) -> List[Any]:
        """Give what was opened to the model. It may be called again with a part of the group."""
        raise NotImplementedError

    def finish(self, item: Item, inferred: Any, write: Write) -> Dict[str, Any]:
        """Write what an item became.

        Returns:
            What is to be said of it in the report, as JSON. `outputs` are the names that were written.

        Raises:
            one of `REFUSALS`: if it cannot be written.
        """
        raise NotImplementedError

    def probe(self, model: Any) -> None:
        """Use the model on something harmless: an exception says that it does not work on this machine at all."""
        raise NotImplementedError


def read_items(path: Path, limit: int = 1 << 30) -> List[Item]:
    """The items of a file of lines."""
    return [Item.decoded(line) for line in read_bytes(path, limit).splitlines()]
