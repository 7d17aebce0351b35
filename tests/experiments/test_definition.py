"""Reading an experiment's file: both settings, what is refused, and which key the message names."""

import json
import subprocess
import sys

import pytest

from rethink_fr.config.checks import ConfigError
from rethink_fr.experiments.definition import experiment_path, load_definition, overrides
from rethink_fr.experiments.plan import Options, make_plan
from tests.command_line import ROOT

SMALL = {
    "title": "Title",
    "source": "a paper, Table 1",
    "config": "smoke_64",
    "set": {"model.width": 0.0625},
    "budget": {"steps": 4},
    "seeds": [1, 2],
    "measure": {"metrics": ["psnr"], "draws": 2},
    "variants": [{"name": "base", "set": {"model.fusion": "add"}}, {"name": "full"}],
}


def write(tmp_path, values):
    path = tmp_path / "small.yaml"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")  # which is YAML
    return path


def changed(**keys):
    return {key: value for key, value in {**SMALL, **keys}.items() if value is not None}


def test_what_is_left_out_is_filled_in(tmp_path):
    definition = load_definition(write(tmp_path, SMALL))
    base, full = definition.variants
    assert (base.label, base.config, definition.compare_to) == ("base", "smoke_64", "base")
    assert definition.overrides(base) == ["model.width=0.0625", "model.fusion=add"]
    assert definition.measure.k == 4 and full.start is None


def test_overrides_are_read_back_as_they_were():
    from rethink_fr.config.parsing import apply_override

    for value in (1e-05, 3, True, "none", "1e3", "a, b: c", [0.2, 10.0], ""):
        values = {}
        apply_override(values, overrides({"section.key": value})[0])
        assert values == {"section": {"key": value}}


def test_a_miniature_replaces_keys_and_merges_set_measure_and_variants(tmp_path):
    small = {
        "config": "quickstart",
        "set": {"model.width": None, "training.global_batch": 2},
        "measure": {"draws": 0},
        "seeds": [7],
        "variants": {"base": {"label": "small", "set": {"model.quantize": False}}},
    }
    path = write(tmp_path, {**SMALL, "miniature": small})
    assert load_definition(path).config == "smoke_64"
    definition = load_definition(path, miniature=True)
    base, full = definition.variants
    assert base.config == full.config == "quickstart" and definition.seeds == (7,)
    assert definition.measure.metrics == ("psnr",) and definition.measure.draws == 0
    assert base.label == "small" and base.set == {"model.fusion": "add", "model.quantize": False}
    assert definition.set == {"training.global_batch": 2}
    path = write(tmp_path, {**SMALL, "miniature": {"variants": {"base": None}}})
    assert [one.name for one in load_definition(path, miniature=True).variants] == ["full"]


def test_starts_are_shared_where_they_are_equal(tmp_path):
    start = {"config": "smoke_64", "budget": {"steps": 2}}
    variants = [
        {"name": "a"},
        {"name": "b", "start": "none"},
        {"name": "c", "start": {**start, "set": {"model.quantize": False}}},
        {"name": "d", "run_of": "a", "restore": {"noise_scale": 0.5}},
    ]
    definition = load_definition(write(tmp_path, changed(start=start, variants=variants)))
    plan = make_plan("small", definition, Options(tmp_path / "out"))
    assert [run.place for run in plan.runs if run.seed == 1] == [
        "_start/seed1",
        "a/seed1",
        "b/seed1",
        "_start2/seed1",
        "c/seed1",
    ]
    by_name = {(cell.variant.name, cell.seed): cell for cell in plan.cells}
    assert by_name["b", 1].run.start is None and by_name["d", 2].run == by_name["a", 2].run
    assert "--init" in plan.command(by_name["a", 1].run)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"titel": "x"}, "titel: no such key"),
        ({"title": None}, "title: expected some text"),
        ({"config": "nothing"}, "no configuration 'nothing'"),
        ({"set": {"model.widht": 1.0}}, "model.widht: no such key"),
        ({"set": {"model": {"width": 1.0}}}, "set.model: expected a value"),
        ({"set": {"training.steps": 3}}, "set.training.steps: is decided by budget"),
        ({"set": {"data.train": "x"}}, "set.data.train: is decided by --train"),
        ({"set": [1]}, "set: expected keys and values"),
        ({"budget": {"steps": 4, "minutes": 1}}, "budget: expected steps or minutes"),
        ({"budget": {}}, "budget: expected steps or minutes"),
        ({"budget": {"steps": -1}}, "budget: expected steps or minutes"),
        ({"budget": {"hours": 1}}, "budget.hours: no such key"),
        ({"seeds": []}, "seeds: expected a list of one or more"),
        ({"seeds": [1, 1]}, "seeds: expected each once"),
        ({"seeds": [-1]}, "seeds: expected 0 to"),
        ({"seeds": 3}, "seeds: expected a list"),
        ({"measure": {"metrics": ["nothing"]}}, "measure.metrics: nothing"),
        ({"measure": {"draws": 1}}, "measure.draws: expected 0, or 2 or more"),
        ({"measure": {"draws": 10**9}}, "measure.draws: expected 0 to 100"),
        ({"variants": []}, "variants: expected a list of one or more"),
        ({"variants": [{}]}, "variants[0].name: expected"),
        ({"variants": [{"name": "../../etc"}]}, "variants[0].name: expected"),
        ({"variants": [{"name": "a"}, {"name": "A"}]}, "variants: expected different names"),
        ({"variants": [{"name": "a", "run_of": "b"}]}, "variants.a.run_of: expected the name"),
        ({"variants": [{"name": "a", "run_of": "a"}]}, "variants.a.run_of: expected the name"),
        ({"variants": [{"name": "a", "restore": {"noise_scale": 2}}]}, "a.restore.noise_scale: expected 0 to 1"),
        ({"variants": [{"name": "a", "paper": {"psnr": [1]}}]}, "variants.a.paper.psnr: expected a number"),
        ({"variants": [{"name": "a", "start": {}}]}, "variants.a.start.config: expected"),
        ({"variants": [{"name": "a", "set": {"model.fusion": "sum"}}]}, "variants.a: model.fusion: expected one of"),
        ({"compare_to": "nobody"}, "compare_to: expected one of base, full"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_its_key(tmp_path, keys, message):
    with pytest.raises(ConfigError) as error:
        load_definition(write(tmp_path, changed(**keys)))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "small, message",
    [
        (3, "miniature: expected a section"),
        ({"variants": {"nobody": {}}}, "miniature.variants.nobody: no such variant"),
        ({"variants": {"base": {"name": "x"}}}, "miniature.variants.base: expected the keys"),
        ({"set": 3}, "miniature.set: expected keys"),
        ({"nothing": 3}, "nothing: no such key"),
    ],
)
def test_a_wrong_miniature_is_refused(tmp_path, small, message):
    path = write(tmp_path, {**SMALL, "miniature": small})
    load_definition(path)
    with pytest.raises(ConfigError, match=message):
        load_definition(path, miniature=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1",
        "title: !!python/object/apply:os.system [id]",
        "a: &x [1]\nb: *x",
        "[" * 100,
        "title: 1\ntitle: 2",
        "\0",
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, text):
    with pytest.raises(ConfigError) as error:
        load_definition(write(tmp_path, text))
    assert "small.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_is_none_tells_which_there_are():
    with pytest.raises(ConfigError, match="no experiment 'nothing'.*smallest"):
        experiment_path("nothing")


def test_list_plan_and_mistakes_do_not_load_tensorflow(tmp_path):
    code = (
        "import sys; from rethink_fr.cli import main\n"
        "assert main(['experiment', '--list']) == 0\n"
        "assert main(['experiment', 'smallest', '--plan']) == 0\n"
        "for wrong in (['nothing'], [], ['smallest', '--seeds', 'x'], ['smallest', '--seeds', '99'],\n"
        "              ['smallest', '--variants', 'x'], ['smallest', '--set', 'model.widht=1'],\n"
        "              ['smallest', '--train', '.', '--test', '.'], ['smallest', '--metrics', 'x'],\n"
        "              ['smallest', '--test', 'nowhere'],\n"
        "              ['smallest', '--identities', 'x.csv'], ['smallest', '--processes', '0'],\n"
        "              ['smallest', '--identity-net', 'no.onnx']):\n"
        "    assert main(['experiment', *wrong]) == 2, wrong\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "smallest" in done.stdout and "rethink-fr train --config quickstart" in done.stdout
    assert len(done.stderr.splitlines()) == 12 and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
