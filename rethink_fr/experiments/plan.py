"""Which runs an experiment has, what each is trained with, and what is measured: everything before it is done."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.evaluation.needs import Sources
from rethink_fr.experiments.definition import Budget, Definition, Start, Variant, overrides
from rethink_fr.files.names import printable
from rethink_fr.runs.config_file import load_config


@dataclass(frozen=True)
class Options:
    """What a call of the command gives beside the experiment's file.

    Attributes:
        output: the experiment's folder.
        train: folder of training pictures; "" for drawn faces.
        test: folder of clean test pictures; "" for drawn faces.
        identities: who is on each test picture; see `evaluate --identities`.
        set: overrides of all variants' configurations, the last word.
        strategy: of `train`.
        metrics: instead of those of the file, none of which may be lacking then.
        sources: networks and statistics of the metrics.
    """

    output: Path
    train: str = ""
    test: str = ""
    identities: Optional[Path] = None
    set: Tuple[str, ...] = ()
    strategy: str = "one"
    metrics: Optional[Tuple[str, ...]] = None
    sources: Sources = Sources()


@dataclass(frozen=True)
class Run:
    """One training: of a variant, or of a run that variants start from."""

    name: str  # of the variant; with "_" before it for a run that others start from
    seed: int
    config: str
    overrides: Tuple[str, ...]
    budget: Budget
    start: Optional[Run] = None

    @property
    def place(self) -> str:
        """Where it is in the folders of an experiment."""
        return f"{self.name}/seed{self.seed}"

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.name.lstrip('_')}, seed {self.seed}"

    def folder(self, output: Path) -> Path:
        """The run's folder."""
        return output / "runs" / self.place

    def arguments(self, output: Path, strategy: str) -> List[str]:
        """What follows `rethink-fr` in the command that trains it."""
        found = ["train", "--config", self.config, "--output", str(self.folder(output))]
        if self.start is not None:
            found += ["--init", str(self.start.folder(output))]
        if strategy != "one":
            found += ["--strategy", strategy]
        return [*found, *(part for one in self.overrides for part in ("--set", one))]

    def resolved(self) -> Experiment:
        """Its configuration, without the run that it starts from."""
        return load_config(self.config, self.overrides)


@dataclass(frozen=True)
class Cell:
    """What is measured: a variant with one seed."""

    variant: Variant
    seed: int
    run: Run

    @property
    def place(self) -> str:
        """Where it is in the folders of an experiment."""
        return f"{self.variant.name}/seed{self.seed}"

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.variant.name}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """An experiment that can be carried out: the first seed of all variants first, then the next one."""

    name: str
    definition: Definition
    options: Options
    cells: Tuple[Cell, ...]
    config: Experiment  # of the experiment, whose degradation and resolution the test pictures have

    @property
    def runs(self) -> List[Run]:
        """All trainings, each after the one that it starts from."""
        found: Dict[str, Run] = {}
        for cell in self.cells:
            for run in (cell.run.start, cell.run):
                if run is not None:
                    found.setdefault(run.place, run)
        return list(found.values())

    def command(self, run: Run) -> str:
        """The command that trains a run, as a user would type it."""
        return shown_command(run.arguments(self.options.output, self.options.strategy))

    def chosen(self, seeds: Optional[Sequence[int]], variants: Optional[Sequence[str]]) -> List[Cell]:
        """The cells of these seeds and variants; None for all.

        Raises:
            ConfigError: naming a seed or variant that the experiment does not have.
        """
        for option, given, known in (
            ("--seeds", seeds, self.definition.seeds),
            ("--variants", variants, [one.name for one in self.definition.variants]),
        ):
            for one in given or ():
                if one not in known:
                    there = ", ".join(map(str, known))
                    raise ConfigError(f"{option} {printable(str(one))}: expected some of {there}")
        return [
            cell
            for cell in self.cells
            if (seeds is None or cell.seed in seeds) and (variants is None or cell.variant.name in variants)
        ]

    def as_lines(self) -> List[str]:
        """What would be done, in words: the runs with their commands, and how much work they are."""
        runs = self.runs
        lines = [f"{self.definition.title} ({self.definition.source})", ""]
        pictures, minutes = 0, 0.0
        for run in runs:
            config = run.resolved()
            batch = config.training.global_batch
            if run.budget.steps:
                pictures += run.budget.steps * batch
                work = f"{run.budget.steps:,} steps of {batch} pictures at {config.model.resolution} px"
            else:
                minutes += run.budget.minutes
                work = f"{run.budget.minutes:g} minutes at {config.model.resolution} px"
            lines += [f"{run.title}: {work}", f"  {self.command(run)}"]
        amounts = [f"{pictures:,} training pictures"] if pictures else []
        amounts += [f"{minutes:g} minutes of training"] if minutes else []
        draws = self.definition.measure.draws
        answers = "with noise 0" + (f", and {draws} samples of each picture" if draws else "")
        lines += ["", f"{len(runs)} runs, {' and '.join(amounts)}; {len(self.cells)} times the test pictures {answers}"]
        return lines


def make_plan(name: str, definition: Definition, options: Options) -> Plan:
    """Find out which runs an experiment has.

    Raises:
        ConfigError: if a configuration is not valid with what the call adds to it.
    """
    starts: List[Start] = []
    cells: List[Cell] = []
    data = _data(options.train)
    for seed in definition.seeds:
        of_variant: Dict[str, Run] = {}
        for variant in definition.variants:
            if variant.run_of:
                continue
            start = None
            if variant.start is not None:
                if variant.start not in starts:
                    starts.append(variant.start)
                number = starts.index(variant.start)
                called = "_start" if number == 0 else f"_start{number + 1}"
                with_data = (*data, *overrides(variant.start.set))
                start = _run(called, seed, variant.start.config, with_data, variant.start.budget)
            settings = (*data, *definition.overrides(variant))
            run = _run(variant.name, seed, variant.config, settings, definition.budget, start, options.set)
            run.resolved()  # mistakes are told before anything is made
            of_variant[variant.name] = run
        for variant in definition.variants:
            cells.append(Cell(variant, seed, of_variant[variant.run_of or variant.name]))
    config = load_config(definition.config, [*overrides(definition.set), *options.set])
    return Plan(name, definition, options, tuple(cells), config)


def shown_command(arguments: Sequence[str]) -> str:
    """A command as a user would type it, on one line."""
    return printable(shlex.join(["rethink-fr", *arguments]))


def source_options(sources: Sources) -> List[str]:
    """The options of `evaluate` and `experiment` that mean these sources."""
    found = []
    for one in fields(Sources):
        value = getattr(sources, one.name)
        if value != one.default:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            found.append(f"--{one.name.replace('_', '-')}={text}")
    return found


def _run(
    name: str,
    seed: int,
    config: str,
    settings: Sequence[str],
    budget: Budget,
    start: Optional[Run] = None,
    last: Sequence[str] = (),
) -> Run:
    steps = [f"training.steps={budget.steps}"] if budget.steps else []
    return Run(name, seed, config, (*settings, f"training.seed={seed}", *steps, *last), budget, start)


def _data(train: str) -> List[str]:
    """Where runs take their pictures. Those that are validated during training are never the test pictures."""
    if not train:
        return ["data.train=builtin", "data.validation=builtin"]
    return [*overrides({"data.train": train}), "data.validation=holdout"]
