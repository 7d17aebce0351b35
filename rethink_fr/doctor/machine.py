"""Checks of the machine: devices and their driver, libraries, native operators, memory that is free, the clock."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from rethink_fr.config.precision import why_float32
from rethink_fr.config.sections import TrainingConfig
from rethink_fr.doctor.findings import Finding, sized
from rethink_fr.files.names import printable
from rethink_fr.ops import NativeOpsError
from rethink_fr.ops.implementation import faults_on_gpus
from rethink_fr.ops.native import OPERATORS, forbidden, native_library

_DISTRIBUTION = "rethink-fr"
_OLDEST = 1_735_689_600  # the beginning of 2025: this version is not older
_NEWEST = 4_102_444_800  # the beginning of 2100
_TOLERANCE = 60  # seconds by which clocks may differ
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Gpu(NamedTuple):
    """A graphics card as its driver describes it."""

    name: str
    driver: str
    memory: int  # bytes
    free: int


def gpus_of_the_driver() -> List[Gpu]:
    """What `nvidia-smi` lists; nothing if it is not there or does not answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = ["--query-gpu=name,driver_version,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run([command, *query], capture_output=True, text=True, timeout=30, check=True)
        rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        return [Gpu(name, driver, int(total) << 20, int(free) << 20) for name, driver, total, free in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def free_memory() -> int:
    """Bytes of the machine's memory that a process can still take, within the limit of its container."""
    values = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(values["MemAvailable"].split()[0]) * 1024
    for name in _MEMORY_LIMITS:
        try:
            free = min(free, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return free


def check_devices(strategy: str, training: TrainingConfig) -> Finding:
    """Which devices would train."""
    import tensorflow as tf

    seen, there = tf.config.list_physical_devices("GPU"), gpus_of_the_driver()
    numbers = {"gpus": len(seen), "processors": os.cpu_count()}
    if seen:
        build = tf.sysconfig.get_build_info()
        named = ", ".join(f"{gpu.name} with {sized(gpu.memory)}" for gpu in there) or f"{len(seen)} GPUs"
        driver = f", driver {there[0].driver}" if there else ""
        found = f"{named}{driver}; TensorFlow is built for CUDA {build.get('cuda_version')}"
        if len(seen) > 1 and strategy == "one":
            return Finding("devices", "warning", found, "--strategy mirrored trains on all of them", numbers)
        return Finding("devices", "ok", found, numbers=numbers)
    found = f"the processor with {os.cpu_count()} cores"
    if there or Path("/proc/driver/nvidia/version").exists():
        advice = 'there is an NVIDIA GPU that TensorFlow cannot use: install the CUDA libraries by pip install ".[gpu]"'
        return Finding("devices", "warning", f"{found}, no GPU", advice, numbers)
    reason = why_float32(training.precision, training.force_precision, gpu=False)
    if reason:
        return Finding("devices", "warning", found, reason, numbers)
    return Finding("devices", "ok", found, numbers=numbers)


def check_libraries() -> Finding:
    """Whether what this package requires is installed, in the versions that it requires."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in metadata.requires(_DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        return Finding("libraries", "ok", f"TensorFlow {metadata.version('tensorflow')}; requirements are not recorded")
    wrong: Dict[str, str] = {}
    for one in required:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(one.name)
            if not one.specifier.contains(version, prereleases=True):
                wrong[one.name] = f"{one.name} {version} instead of {one.specifier}"
        except metadata.PackageNotFoundError:
            wrong[one.name] = f"{one.name} is missing"
    if wrong:
        advice = "install the package again, in an environment of its own"
        return Finding("libraries", "warning", "; ".join(wrong.values()), advice)
    return Finding("libraries", "ok", f"TensorFlow {metadata.version('tensorflow')} and all others as required")


def check_operators() -> Finding:
    """Whether the native operators are used."""
    if forbidden():
        advice = "unset RETHINK_FR_OPS to use the compiled ones, which are faster"
        return Finding("native operators", "warning", "not used: RETHINK_FR_OPS=reference is set", advice)
    try:
        library = native_library().look()
    except NativeOpsError as error:
        advice = "training is slower and needs more memory without them: rethink-fr build-ops"
        return Finding("native operators", "warning", str(error), advice)
    if library is None:
        return Finding("native operators", "ok", "not built yet; the first use builds them")
    lacking = [name for name in OPERATORS if not library.has(name)]
    if lacking:
        return Finding("native operators", "warning", f"without {', '.join(lacking)}", "rethink-fr build-ops")
    found = f"compiled, {library.instruction_set()} kernels"
    faults, tried = faults_on_gpus(library.module)
    if faults:
        advice = "TensorFlow's own operations take their place, which is slower and needs more memory"
        return Finding("native operators", "warning", f"{found}; {'; '.join(faults.values())}", advice)
    return Finding("native operators", "ok", f"{found}, tried on {', '.join(tried)}" if tried else found)


def check_clock(checkpoints: Path, newest: Optional[int], now: Optional[float] = None) -> Finding:
    """Whether the clock is plausible, and not behind the time of the run's newest checkpoint.

    Training itself does not depend on the clock.

    Args:
        checkpoints: the run's folder of checkpoints.
        newest: step of its newest checkpoint; None if there is none.
        now: the time in seconds; None asks the clock.
    """
    now = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)) if 0 <= now < 1 << 40 else f"{now:.0f}"
    advice = "set the clock, by NTP for example: times in TensorBoard and of files would be wrong"
    if not _OLDEST <= now <= _NEWEST:
        return Finding("clock", "warning", f"it says {shown}", advice)
    if newest is not None:
        record = checkpoints / f"step-{newest}.json"
        try:
            ahead = (record if record.exists() else record.with_suffix(".index")).stat().st_mtime - now
        except OSError:
            ahead = 0.0
        if ahead > _TOLERANCE:
            found = f"it says {shown}, {ahead:,.0f} s before the newest checkpoint in {printable(checkpoints)} was made"
            return Finding("clock", "warning", found, advice)
    return Finding("clock", "ok", shown)
