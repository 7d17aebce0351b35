"""All checks before a long run, one after the other. None of them changes anything in the run's folder."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.doctor import machine, run_folder
from rethink_fr.doctor.findings import Finding, sized
from rethink_fr.doctor.samples import check_pictures
from rethink_fr.errors import describe, tensorflow_line
from rethink_fr.files.names import printable
from rethink_fr.runs.checkpoint_files import choose_checkpoint
from rethink_fr.runs.config_file import save_config
from rethink_fr.runs.folder import CHECKPOINTS
from rethink_fr.runs.resolve import check_init
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.announcement import duration
from rethink_fr.weights.known import KNOWN_WEIGHTS

_TIMEOUT = 3600  # seconds that the trial may take
_SPARE = 1.2  # how much faster than training reading should be
_TIGHT = 0.9  # share of the memory above which it is tight

Stages = Dict[str, Dict[str, Any]]


def examine(config: Experiment, strategy: str, output: Path, tell: Callable[[str], None]) -> List[Finding]:
    """Check everything that a run with this configuration needs.

    Args:
        config: of the run.
        strategy: "one" or "mirrored".
        output: the run's folder, which need not exist.
        tell: called with what is about to be checked, if that takes long.
    """
    findings = _attempt("devices", lambda: machine.check_devices(strategy, config.training))
    findings += _attempt("libraries", machine.check_libraries)
    findings += _attempt("native operators", machine.check_operators)
    findings += _attempt("output", lambda: run_folder.check_output(output))
    findings += _attempt("run", lambda: run_folder.check_run(config, output))
    newest = _quietly(lambda: run_folder.newest_checkpoint(output))
    findings += _attempt("clock", lambda: machine.check_clock(output / CHECKPOINTS, newest))
    tell("reading a sample of the pictures")
    pictures: List[Finding] = []
    of_folders = [dataclasses.replace(config.data, train=one.path, folders=()) for one in config.data.folders]
    sets = [*(("data.train", data) for data in of_folders or [config.data]), ("data.validation", config.data)]
    for key, data in sets:
        pictures += _attempt(key, functools.partial(check_pictures, key, data, config.model.resolution))
    findings += pictures
    files = _attempt("files", lambda: check_files(config, newest))
    findings += files
    if any(one.state == "fails" for one in (*files, *pictures)):
        skipped = Finding("trial", "warning", "not tried: a file or the pictures that it needs cannot be used")
        return [*findings, skipped]
    tell("building the networks and taking steps, in a process of its own")
    return [*findings, *_tried(config, strategy, output, newest)]


def check_files(config: Experiment, newest: Optional[int]) -> Finding:
    """Whether the weights and runs that the configuration names are there.

    Raises:
        ConfigError, CheckpointError: if not.
    """
    hook, init, identity = (
        SYSTEMS[config.architecture].check_files,
        config.training.init,
        config.training.identity_network,
    )
    if hook is not None:
        hook(config)
    if init and newest is None:
        from rethink_fr.runs.loading import unreadable

        check_init(config)
        if choose_checkpoint(Path(init) / CHECKPOINTS, unreadable) is None:
            raise ConfigError(f"training.init: {printable(init)} has no checkpoint yet")
    weights = [file.path for file in KNOWN_WEIGHTS["facenet"].files] if identity == "facenet" else [Path(identity)]
    missing = [path for path in weights if identity and not path.is_file()]
    if missing:
        raise ConfigError(f"training.identity_network: no file {printable(missing[0])}")
    return Finding(
        "files", "ok", f"weights and runs that the settings name are there{f'; starts from {init}' if init else ''}"
    )


def memory_finding(stages: Stages, limit: int, code: int, batch: int) -> Finding:
    """What is told of memory: predicted, and measured if it was tried.

    Args:
        stages: of the trial; see `rethink_fr.doctor.trial`.
        limit: bytes that a process can take.
        code: exit code of the trial; negative for a signal.
        batch: pictures in a step.
    """
    built, predicted = stages["built"], stages.get("predicted")
    parts = f"networks {sized(built['networks'] + built['average'])}, optimizers {sized(built['optimizers'])}"
    advice = "lower training.global_batch, model.width or model.resolution"
    if predicted is None:
        return Finding("memory", "fails", f"{parts}; the trial ended before a step (exit code {code})", advice, built)
    where = "of the GPU" if predicted["on_gpu"] else "of this machine"
    found = f"{sized(predicted['bytes'])} predicted ({parts}, activations and gradients {sized(predicted['tensors'])})"
    numbers = {"predicted_bytes": predicted["bytes"], "free_bytes": limit, **built}
    if predicted["bytes"] > limit:
        fits = int(batch * (limit - predicted["bytes"] + 1.2 * predicted["tensors"]) / (1.2 * predicted["tensors"]))
        if 0 < fits < batch:
            advice = f"about training.global_batch={fits} fits; or {advice}"
        return Finding("memory", "fails", f"{found}, {sized(limit)} {where} are free; not tried", advice, numbers)
    taken = stages.get("taken")
    if taken is None:
        killed = "was killed, probably for its memory" if code == -9 else f"ended with exit code {code}"
        return Finding("memory", "fails", f"{found}; the step that was tried {killed}", advice, numbers)
    found += f", {sized(taken['bytes'])} measured; {sized(limit)} {where} are free"
    numbers["measured_bytes"] = taken["bytes"]
    if taken["bytes"] > _TIGHT * limit:
        return Finding("memory", "warning", found, f"this is tight: {advice}", numbers)
    return Finding("memory", "ok", found, numbers=numbers)


def speed_findings(stages: Stages, config: Experiment) -> List[Finding]:
    """How long the run takes, and whether pictures are read faster than they are trained on."""
    taken, read = stages.get("taken"), stages.get("read")
    if taken is None or read is None:
        return []
    seconds = min(taken["seconds"][1:])
    trained, delivered = config.training.global_batch / seconds, read["images_per_second"]
    length = duration(config.training.steps * seconds)
    numbers = {"images_per_second": trained, "seconds_per_step": seconds}
    told = f"{seconds:.3g} s a step: {config.training.steps:,} steps take {length}"
    speed = Finding("speed", "ok", told, numbers=numbers)
    found = f"{delivered:,.1f} pictures a second are read and degraded, {trained:,.1f} are trained on"
    numbers = {"read_per_second": delivered, "trained_per_second": trained}
    if delivered < _SPARE * trained:
        advice = "training would wait for pictures: `rethink-fr prepare` them, or raise data.workers"
        return [speed, Finding("input", "warning", found, advice, numbers)]
    return [speed, Finding("input", "ok", found, numbers=numbers)]


def _tried(config: Experiment, strategy: str, output: Path, newest: Optional[int]) -> List[Finding]:
    gpus = machine.gpus_of_the_driver()
    limit = min(gpu.free for gpu in gpus) if gpus and _tensorflow_sees_gpus() else machine.free_memory()
    with tempfile.TemporaryDirectory(prefix="rethink-fr-doctor-") as folder:
        save_config(config, Path(folder) / "config.yaml")
        init = "init" if config.training.init and newest is None else "none"
        command = [sys.executable, "-m", "rethink_fr.doctor.trial", f"{folder}/config.yaml", strategy, str(limit), init]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
            code, printed, said = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as error:
            code, printed, said = 0, (error.stdout or b"").decode(), f"took more than {_TIMEOUT} s"
    stages: Stages = {}
    for line in printed.splitlines():
        if line.startswith('{"stage"'):
            values = json.loads(line)
            stages[values.pop("stage")] = values
    if "refused" in stages:
        return [Finding("networks", "fails", stages["refused"]["message"])]
    if "built" not in stages:
        last = next(iter(said.strip().splitlines()[-1:]), f"exit code {code}")
        return [Finding("networks", "fails", f"they could not be built: {printable(last)}")]
    findings = [Finding("networks", "ok", "built with all weights that the settings name")]
    findings.append(memory_finding(stages, limit, code, config.training.global_batch))
    checkpoint = stages["built"]["checkpoint"]
    findings += _attempt("disk", lambda: run_folder.check_disk(output, config.training.keep_checkpoints, checkpoint))
    return findings + speed_findings(stages, config)


def _tensorflow_sees_gpus() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _attempt(check: str, run: Callable[[], Finding]) -> List[Finding]:
    """The finding of one check; what it raises is a finding, too."""
    try:
        return [run()]
    except Exception as error:
        described = describe(error)
        message = described[0] if described is not None else f"{type(error).__name__}: {tensorflow_line(error)}"
        return [Finding(check, "fails", " ".join(message.split()))]


def _quietly(run: Callable[[], Optional[int]]) -> Optional[int]:
    try:
        return run()
    except (ValueError, OSError):
        return None
