"""Two versions of the package on the same run folders: does a user notice any difference?

    python tools/compare_checkouts.py OLD NEW --work FOLDER [--vqfr FILE.pth]

OLD and NEW are checkouts. OLD trains a run of the stochastic restorer and one of each VQFR stage for a few steps. Then
each of the two, on its own copy of these runs: restores pictures, continues the run, exports it and reads every
configuration; with `--vqfr` it also converts published weights and restores with them. Compared are the bytes of the
pictures, the records of `metrics.jsonl`, every tensor of the last checkpoint, what the SavedModel gives for fixed
pictures and every setting. Only commands are used, so that modules may have moved; the exit code is 0 if all is equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

_STEPS_BEFORE, _STEPS = 3, 6
_SMALL = [
    "data.train=builtin",
    "data.validation=builtin",
    "data.builtin_identities=6",
    "data.builtin_pictures=2",
    "data.validation_images=4",
    "training.global_batch=4",
]
_EVERY = [f"training.{name}=3" for name in ("log_every", "sample_every", "validate_every", "checkpoint_every")]
_VQFR = ["model.width=0.125", "model.codebook_size=32"]
_RUNS = {  # folder -> configuration, settings, run that it starts from
    "restorer": ("smoke_64", [], None),
    "codebook": ("vqfr_codebook_64", _VQFR, None),
    "restoration": ("vqfr_64", _VQFR, "codebook"),
}
# Where a version keeps its reader of configurations.
_SETTINGS = """
import dataclasses, json, pathlib, sys
try:
    from rethink_fr.runs.config_file import available_configs, load_config
except ImportError:
    from rethink_fr.config import available_configs, load_config
print(json.dumps({name: dataclasses.asdict(load_config(name)) for name in available_configs()}, default=list))
"""
_TENSORS = """
import hashlib, json, sys, tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
names = sorted(reader.get_variable_to_shape_map())
digest = lambda name: hashlib.sha256(getattr(reader.get_tensor(name), "tobytes", lambda: b"")()).hexdigest()
print(json.dumps({name: digest(name) for name in names if "OBJECT_GRAPH" not in name}))
"""
_EXPORTED = """
import hashlib, json, sys, numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
pictures = np.random.default_rng(0).integers(0, 256, [2, 64, 64, 3], dtype=np.uint8)
made = loaded.signatures["serving_default"](images=tf.constant(pictures))
print(json.dumps({name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in sorted(made.items())}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="a folder for everything that is made")
    parser.add_argument("--vqfr", type=Path, help="published weights, or a file of their names and shapes")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if not (work / "begun").is_dir():
        begin(arguments.old.resolve(), work)
    seen = {
        name: observe(checkout.resolve(), work, name, arguments.vqfr)
        for name, checkout in (("old", arguments.old), ("new", arguments.new))
    }
    different = 0
    for what in seen["old"]:
        equal = seen["old"][what] == seen["new"].get(what)
        different += not equal
        print(f"{'equal' if equal else 'DIFFERENT':10} {what}")
    print(f"{len(seen['old'])} observations, {different} of them different; all are in {work}")
    return 1 if different else 0


def begin(checkout: Path, work: Path) -> None:
    """Train the runs that both versions go on from, and degrade pictures for both."""
    made = work / "making"
    shutil.rmtree(made, ignore_errors=True)
    for name, (config, settings, start) in _RUNS.items():
        command(checkout, "train", *training(made, name, config, settings, start, _STEPS_BEFORE))
    shutil.copytree(made / "restorer/samples", made / "sheets")
    for path in (made / "sheets").glob("*.png"):  # sheets of drawn faces are pictures like any other
        path.rename(path.with_name(f"picture_{path.name}"))
    command(checkout, "degrade", made / "sheets", "--output", made / "degraded", "--seed", "5")
    made.rename(work / "begun")


def observe(checkout: Path, work: Path, name: str, vqfr: Path | None) -> Dict[str, Any]:
    """What one version makes of the runs: by a line of text, something that can be compared."""
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / "begun", folder)
    seen: Dict[str, Any] = {}
    for config, settings in json.loads(python(checkout, _SETTINGS)).items():
        seen[f"settings of {config}"] = settings
    command(checkout, "degrade", folder / "sheets", "--output", folder / "degraded_again", "--seed", "5")
    seen["degraded pictures"] = digests(folder / "degraded_again")
    for run, (config, settings, start) in _RUNS.items():
        command(
            checkout,
            "restore",
            folder / "degraded",
            "--aligned",
            "--model",
            folder / run,
            "--output",
            folder / f"{run}_out",
        )
        seen[f"{run}: pictures restored by the run as it was"] = digests(folder / f"{run}_out")
        command(checkout, "train", *training(folder, run, config, settings, start, _STEPS))
        seen[f"{run}: records, samples and settings after going on"] = (
            records(folder / run),
            digests(folder / run / "samples"),
        )
        seen[f"{run}: tensors of the last checkpoint"] = json.loads(
            python(checkout, _TENSORS, folder / run / "checkpoints" / f"step-{_STEPS}")
        )
        command(
            checkout, "export", "--model", folder / run, "--format", "saved_model", "--output", folder / f"{run}_saved"
        )
        seen[f"{run}: what the SavedModel gives"] = json.loads(python(checkout, _EXPORTED, folder / f"{run}_saved"))
    command(
        checkout,
        "restore",
        folder / "degraded",
        "--aligned",
        "--model",
        folder / "restorer",
        "--output",
        folder / "draws",
        "--samples",
        "3",
        "--seed",
        "9",
    )
    seen["restorer: three samples of each picture"] = digests(folder / "draws")
    if vqfr is not None:
        command(checkout, "convert-vqfr", vqfr.resolve(), "--output", folder / "converted")
        seen["converted VQFR: tensors"] = json.loads(
            python(checkout, _TENSORS, folder / "converted/checkpoints/step-0")
        )
        one = sorted((folder / "degraded").glob("*.png"))[0]
        command(checkout, "restore", one, "--aligned", "--model", folder / "converted", "--output", folder / "vqfr_out")
        seen["converted VQFR: a picture"] = digests(folder / "vqfr_out")
    return seen


def training(folder: Path, run: str, config: str, settings: List[str], start: str | None, steps: int) -> List[str]:
    """The arguments of `train`. A run that goes on knows what it started from."""
    chosen = [*_SMALL, *_EVERY, *settings, f"training.steps={steps}", "optimizer.decay_steps=0"]
    if run != "restorer":
        chosen.remove("optimizer.decay_steps=0")
    init = ["--init", str(folder / start)] if start is not None and steps == _STEPS_BEFORE else []
    return [
        "--config",
        config,
        "--output",
        str(folder / run),
        *init,
        *(part for one in chosen for part in ("--set", one)),
    ]


def command(checkout: Path, *arguments: Any) -> None:
    """Run `rethink-fr` of a checkout; what it says is shown only if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "rethink_fr", *map(str, arguments)], cwd=checkout, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{checkout}: rethink-fr {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")


def python(checkout: Path, code: str, *arguments: Any) -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr}")
    return done.stdout


def records(run: Path) -> List[Dict[str, float]]:
    """The lines of `metrics.jsonl`, without what depends on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]


def digests(folder: Path) -> Dict[str, str]:
    """SHA-256 of the pixels of each PNG file below a folder."""
    found = sorted(folder.rglob("*.png"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


if __name__ == "__main__":
    sys.exit(main())
