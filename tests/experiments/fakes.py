"""An experiment whose trainings and measurements take no time: what is done when is tested with it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rethink_fr.experiments import faces, work
from rethink_fr.experiments.children import Ended, Stop, Stopped
from rethink_fr.experiments.definition import load_definition
from rethink_fr.experiments.plan import Options, make_plan

PEOPLE = 3
SMALL = {
    "title": "A small <experiment>",
    "source": "a paper, Table 1",
    "config": "smoke_64",
    "set": {"model.resolution": 32, "model.n_skips": 2},
    "budget": {"steps": 4},
    "seeds": [1, 2],
    "measure": {"metrics": ["psnr", "ssim", "fid"], "draws": 2},
    "variants": [
        {"name": "base", "set": {"model.fusion": "add"}, "paper": {"psnr": 26.85, "fid": 20.02}},
        {"name": "full", "label": "all | of *it*", "paper": {"votes": "31 %"}},
    ],
}


def make(tmp_path, output="out", options=None, **keys):
    """A plan of the experiment with other keys."""
    path = tmp_path / "small.yaml"
    values = {key: value for key, value in {**SMALL, **keys}.items() if value is not None}
    path.write_text(json.dumps(values), encoding="utf-8")
    return make_plan("small", load_definition(path), Options(tmp_path / output, **(options or {})))


def value(text, name):
    """What follows `name=` in the arguments of a command."""
    return next(one.split("=", 1)[1] for one in text if one.startswith(f"{name}="))


class FakeChildren:
    """Takes the place of `run_child`. What it was asked for is in `calls`."""

    def __init__(self):
        self.calls = []
        self.fails = {}  # part of a path -> reason
        self.quality = {"base": 20.0, "full": 21.0}
        self.hook = lambda kind, where: None

    def __call__(self, arguments, log, stop, seconds=None, elapsed=lambda seconds: None, module="rethink_fr"):
        if stop:
            raise Stopped
        if arguments[0] == "degrade":
            shutil.copytree(arguments[1], arguments[3])
            return Ended(0, "", 1.0, True)
        kind = "measure" if module.endswith("measuring") else "train"
        job = json.loads(arguments[0]) if kind == "measure" else {}
        where = job["restored"] if job else arguments[arguments.index("--output") + 1]
        place = "/".join(Path(where).parts[-2:])
        self.calls.append((kind, place))
        self.hook(kind, place)
        if stop:
            raise Stopped
        reason = next((reason for part, reason in self.fails.items() if part in f"{kind} {place}"), None)
        if reason is not None:
            return Ended(2, reason, 1.0, True)
        if kind == "train":
            elapsed(30.0)
            folder = Path(where) / "checkpoints"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"step-{value(arguments, 'training.steps')}.index").touch()
            record = {"step": 2, "loss/l1": 0.5, "validation/psnr": 20.0}
            (Path(where) / "metrics.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
        else:
            shutil.copytree(job["degraded"], Path(where) / "answer", dirs_exist_ok=True)
            Path(job["output"]).parent.mkdir(parents=True, exist_ok=True)
            Path(job["output"]).write_text(json.dumps(self.report(place)), encoding="utf-8")
        return Ended(0, "", 60.0, True)

    def report(self, place):
        """What `evaluate` would say of these pictures."""
        variant, seed = place.split("/")
        generator = np.random.default_rng(int(seed[-1]))
        names = [f"person{person:02d}-{number}" for person in range(PEOPLE) for number in range(2)]
        noise = generator.normal(0.0, 0.05, len(names))
        rows = [
            {
                "name": name,
                "answer": {"psnr": self.quality[variant] + one, "ssim": 0.6 + one / 100},
                "degraded": {"psnr": 18.0 + one, "ssim": 0.7},
            }
            for name, one in zip(names, noise)
        ]
        metrics = {
            metric: {
                kind: {
                    "mean": float(np.mean([row[kind][metric] for row in rows])),
                    "interval": [0, 1],
                    "count": len(rows),
                }
                for kind in ("answer", "degraded")
            }
            for metric in ("psnr", "ssim")
        }
        metrics["fid_paired"] = {
            kind: {"value": 30.0 + float(noise[0]), "interval": None, "count": len(rows)}
            for kind in ("answer", "degraded")
        }
        missing = [{"metric": "fid_statistics", "reason": "needs statistics"}]
        return {"metrics": metrics, "rows": rows, "samples": {"answer": 1}, "missing": missing, "left_out": []}


@pytest.fixture
def children(monkeypatch):
    """Fake children for trainings, measurements and the degradation."""
    fake = FakeChildren()
    monkeypatch.setattr(faces, "_PEOPLE", PEOPLE)
    monkeypatch.setattr(work, "run_child", fake)
    monkeypatch.setattr(faces, "run_child", fake)
    return fake


def carry_out(plan, stop=None, processes=1, cells=None):
    """Everything that the command does before it writes results; returns the folder."""
    from rethink_fr.experiments.folder import Folder

    folder, stop = Folder(plan.options.output), Stop() if stop is None else stop
    folder.begin(plan)
    faces.make_faces(plan, folder, stop)
    work.work(plan, folder, plan.cells if cells is None else cells, stop, processes)
    return folder
