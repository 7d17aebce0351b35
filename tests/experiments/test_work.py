"""What is done when: once, in the order of the seeds, again after failures, shared by processes, refused if changed."""

import json
import signal
import threading
import time

import pytest

from rethink_fr.config.checks import ConfigError
from rethink_fr.experiments import work
from rethink_fr.experiments.children import Ended, Stop, Stopped
from rethink_fr.experiments.folder import TRAINED, Folder
from tests.experiments.fakes import SMALL, carry_out, make, value


def test_everything_is_done_once_the_first_seed_of_all_first(tmp_path, children):
    plan = make(tmp_path)
    folder = carry_out(plan)
    done = [(kind, place) for seed in (1, 2) for name in ("base", "full") for kind in ("train", "measure")
            for place in [f"{name}/seed{seed}"]]  # fmt: skip
    assert children.calls == done
    carry_out(plan)
    assert children.calls == done
    record = folder.read("full/seed2", TRAINED)
    assert record["steps"] == 4 and record["seconds"] == 60.0 and "training.seed=2" in record["command"]


def test_a_failing_variant_stops_nothing_and_is_tried_again_by_the_next_call(tmp_path, children):
    children.fails = {"train base": "the loss is not finite"}
    plan = make(tmp_path)
    folder = carry_out(plan)
    assert [place for kind, place in children.calls if kind == "measure"] == ["full/seed1", "full/seed2"]
    assert work.failure(folder, plan.cells[0]) == "training: the loss is not finite"
    assert work.failure(folder, plan.cells[1]) is None
    children.fails = {}
    carry_out(plan)
    assert work.failure(folder, plan.cells[0]) is None and len(children.calls) == 2 + 4 + 4


def test_what_a_failed_start_is_needed_for_is_not_trained(tmp_path, children):
    start = {"config": "smoke_64", "set": SMALL["set"], "budget": {"steps": 2}}
    children.fails = {"train _start/seed1": "no space"}
    plan = make(tmp_path, start=start)
    folder = carry_out(plan)
    assert ("train", "base/seed1") not in children.calls and ("train", "base/seed2") in children.calls
    assert children.calls.count(("train", "_start/seed2")) == 1
    assert work.failure(folder, plan.cells[0]) == "start, seed 1: no space"


def test_several_threads_and_calls_share_the_work(tmp_path, children):
    children.hook = lambda kind, where: time.sleep(0.05)
    plan = make(tmp_path, seeds=[1, 2, 3])
    carry_out(plan, cells=[])  # begins it
    errors = []

    def call():
        try:
            carry_out(plan, processes=2)
        except BaseException as error:
            errors.append(error)

    calls = [threading.Thread(target=call) for _ in range(3)]
    for one in calls:
        one.start()
    for one in calls:
        one.join()
    assert not errors
    assert len(children.calls) == len(set(children.calls)) == 12


def test_an_interruption_keeps_what_was_done(tmp_path, children):
    stop = Stop()
    children.hook = lambda kind, where: stop.tell(signal.SIGINT) if where == "full/seed1" else None
    plan = make(tmp_path)
    with pytest.raises(Stopped):
        carry_out(plan, stop)
    assert children.calls[-1] == ("train", "full/seed1")
    children.hook = lambda kind, where: None
    carry_out(plan)
    assert children.calls.count(("train", "base/seed1")) == 1 and children.calls.count(("train", "full/seed1")) == 2


def test_a_longer_budget_trains_on_and_measures_again(tmp_path, children):
    carry_out(make(tmp_path))
    count = len(children.calls)
    folder = carry_out(make(tmp_path, budget={"steps": 8}))
    assert len(children.calls) == 2 * count and folder.read("base/seed1", TRAINED)["steps"] == 8
    with pytest.raises(ConfigError, match=r"begun with another budget \(base, full\)"):
        carry_out(make(tmp_path))


def test_another_measurement_is_measured_again_only(tmp_path, children):
    carry_out(make(tmp_path))
    children.calls.clear()
    carry_out(make(tmp_path, measure={"metrics": ["psnr"]}))
    assert {kind for kind, _ in children.calls} == {"measure"} and len(children.calls) == 4


def test_seeds_variants_and_words_may_be_added(tmp_path, children):
    carry_out(make(tmp_path))
    children.calls.clear()
    children.quality["more"] = 22.0
    more = [*SMALL["variants"], {"name": "more", "set": {"model.quantize": False}}]
    plan = make(tmp_path, seeds=[1, 2, 3], variants=more, title="Another", compare_to="full")
    carry_out(plan)
    assert len(children.calls) == 2 * (1 + 1 + 3)
    carry_out(make(tmp_path))  # as it was: the variant that was added stays known
    more[-1]["set"] = {}
    with pytest.raises(ConfigError, match=r"begun with another model.quantize \(more\)"):
        carry_out(make(tmp_path, variants=more))


@pytest.mark.parametrize(
    "keys, options, message",
    [
        ({"set": {**SMALL["set"], "model.width": 0.5}}, {}, r"model.width \(base, full\)"),
        ({"variants": [{"name": "base"}, SMALL["variants"][1]]}, {}, r"model.fusion \(base\)"),
        ({"set": {**SMALL["set"], "degradation.noise": [0.0, 1.0]}}, {}, "degradation"),
        ({"start": {"config": "smoke_64", "budget": {"steps": 2}}}, {}, r"start \(base, full\)"),
        ({}, {"set": ("training.global_batch=2",)}, r"training.global_batch \(base, full\)"),
        ({}, {"train": "."}, "data.train"),
        ({}, {"test": "."}, "--test"),
    ],
)
def test_what_would_mix_two_experiments_is_refused_by_its_key(tmp_path, children, keys, options, message):
    carry_out(make(tmp_path))
    with pytest.raises(ConfigError, match=message):
        Folder(tmp_path / "out").begin(make(tmp_path, options=options, **keys))


def test_settings_that_a_later_version_has_do_not_matter(tmp_path, children):
    carry_out(make(tmp_path))
    path = tmp_path / "out" / "experiment.json"
    begun = json.loads(path.read_text(encoding="utf-8"))
    for values in begun["variants"].values():
        assert values.pop("data.flip") == 0.5
    path.write_text(json.dumps(begun), encoding="utf-8")
    carry_out(make(tmp_path))


def test_a_folder_of_something_else_is_refused(tmp_path, children):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").touch()
    with pytest.raises(ConfigError, match="is not empty and holds no experiment"):
        carry_out(make(tmp_path))
    (tmp_path / "out" / "experiment.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="choose another --output"):
        carry_out(make(tmp_path))


def test_minutes_are_counted_over_interruptions(tmp_path, children, monkeypatch):
    asked = []

    def train(arguments, log, stop, seconds=None, elapsed=lambda seconds: None, module="rethink_fr"):
        if module != "rethink_fr":
            return children(arguments, log, stop, seconds, elapsed, module)
        asked.append(seconds)
        folder = tmp_path / "out" / "runs" / "base" / "seed1" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "step-3.index").touch()
        if len(asked) == 1:
            elapsed(20.0)
            raise Stopped
        return Ended(75, "", 40.0, False)

    monkeypatch.setattr(work, "run_child", train)
    plan = make(tmp_path, budget={"minutes": 1}, seeds=[1], variants=[{"name": "base"}])
    with pytest.raises(Stopped):
        stop = Stop()
        stop.tell(signal.SIGTERM)
        folder = Folder(plan.options.output)
        folder.begin(plan)
        work.work(plan, folder, plan.cells, stop)
    assert not asked
    for _ in range(2):
        carry_out(plan)
    assert asked == [60.0, 40.0]
    record = Folder(plan.options.output).read("base/seed1", TRAINED)
    assert record["steps"] == 3 and record["seconds"] == 60.0
    assert not any("training.steps" in one for one in plan.runs[0].overrides)


def test_records_that_are_damaged_count_as_not_there(tmp_path, children):
    plan = make(tmp_path, seeds=[1])
    folder = carry_out(plan)
    (folder.record_folder("base/seed1") / "measured.json").write_text("[", encoding="utf-8")
    children.calls.clear()
    carry_out(plan)
    assert children.calls == [("measure", "base/seed1")]


def test_commands_can_be_typed_as_they_are_recorded(tmp_path, children):
    plan = make(tmp_path, seeds=[1], options={"set": ("training.log_every=2",)})
    folder = carry_out(plan)
    record = json.loads((folder.record_folder("base/seed1") / "measured.json").read_text(encoding="utf-8"))
    assert [one.split()[1] for one in record["commands"]] == ["restore", "evaluate"]
    run = plan.runs[0].arguments(plan.options.output, "one")
    assert value(run, "training.log_every") == "2" and run[-1] == "training.log_every=2"
