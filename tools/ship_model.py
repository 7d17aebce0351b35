"""Write the averaged network of a run as a model that comes with the package.

    python tools/ship_model.py runs/mini128 --card docs/mini128.md

The folder `rethink_fr/models/NAME` (NAME is the run's) then holds `config.yaml`, `weights.npz` in float16 and the card.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.runs.shipped import write_shipped

MODELS = Path(__file__).parents[1] / "rethink_fr" / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--name", help="default: the name of the run's folder")
    arguments = parser.parse_args()
    folder = MODELS / (arguments.name or arguments.run.name)
    step = write_shipped(arguments.run, folder, arguments.card.read_text(encoding="utf-8"), overwrite=True)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: step {step}, {size:,} bytes")


if __name__ == "__main__":
    main()
