"""The files in `configs/experiments`: each can be run at both settings, and the guide names all of them."""

import dataclasses
import re
from pathlib import Path

import pytest

from rethink_fr.experiments.definition import available_experiments, experiment_path, load_definition
from rethink_fr.experiments.plan import Options, make_plan

GUIDE = Path(__file__).parents[2] / "docs" / "experiments.md"


@pytest.mark.parametrize("miniature", [False, True])
@pytest.mark.parametrize("name", available_experiments())
def test_every_run_has_a_valid_configuration_and_fits_the_run_it_starts_from(name, miniature):
    definition = load_definition(experiment_path(name), miniature)
    plan = make_plan(name, definition, Options(output=Path("out"), train="faces"))
    assert len(definition.seeds) >= 3 or name == "smallest"
    for run in plan.runs:
        config = run.resolved()
        assert config.model.resolution <= 64 or not miniature
        if config.architecture == "vqfr" and config.stage == "restoration":
            assert run.start is not None, run.title
            ours = dataclasses.replace(config.model, network="vqgan", decoder="parallel")
            assert run.start.resolved().model == ours, run.title
        else:
            assert run.start is None


def test_the_guide_names_every_experiment_and_no_other():
    section = GUIDE.read_text().split("## Tables and figures")[1].split("\n## ")[0]
    named = [name for row in section.splitlines() if row.startswith("|") for name in re.findall(r"\| `(\w+)` \|", row)]
    assert sorted(named) == sorted(set(available_experiments()) - {"smallest"})
