"""Small runs that are exported, and their exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.systems import SYSTEMS
from rethink_fr.vqfr.settings import VQFRSettings
from tests.training.helpers import small_config
from tests.vqfr.golden import rule_value

SIDE = 32


def write_run(folder: Path, architecture: str, settings) -> Path:
    """A run of a network that was not trained: weights from a fixed generator, so that codes and noise matter."""
    network = SYSTEMS[architecture].build(settings)
    generator = np.random.default_rng(0)
    for weight in network.weights:
        if "codebook" in weight.name:
            weight.assign(generator.normal(size=weight.shape).astype(np.float32))
    folder.mkdir()
    save_average(folder / "checkpoints", network)
    save_model_section(architecture, settings, folder / "config.yaml")
    return folder


def write_vqfr(folder: Path, version: int) -> Path:
    """A run of a small VQFR with weights by rule."""
    from rethink_fr.vqfr.published_weights import load_torch_state, official_weights

    settings = VQFRSettings("vqfr", version, SIDE, 1 / 8, 2, 20)
    network = SYSTEMS["vqfr"].build(settings)
    state = {name: rule_value(name, weight.shape) for name, weight in official_weights(network).items()}
    load_torch_state(network, state)
    folder.mkdir()
    save_average(folder / "checkpoints", network)
    save_model_section("vqfr", settings, folder / "config.yaml")
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A restorer of 32 px."""
    return write_run(tmp_path_factory.mktemp("run") / "run", "rethink", small_config().model)


@pytest.fixture(scope="session")
def vqfr(tmp_path_factory) -> Path:
    """VQFR version 2 of 32 px: it has a fidelity and a texture image."""
    return write_vqfr(tmp_path_factory.mktemp("vqfr") / "run", 2)


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory) -> Path:
    """The restorer's SavedModel, in the folder that TensorFlow Serving expects."""
    folder = tmp_path_factory.mktemp("models") / "restorer"
    assert main(["export", "--model", str(run), "--format", "saved_model", "--output", str(folder / "1")]) == 0
    return folder / "1"


@pytest.fixture(scope="session")
def exported_vqfr(vqfr, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "restorer"
    assert main(["export", "--model", str(vqfr), "--format", "saved_model", "--output", str(folder / "1")]) == 0
    return folder / "1"


@pytest.fixture()
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, [2, SIDE, SIDE, 3], np.uint8)
