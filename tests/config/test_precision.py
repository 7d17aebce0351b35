"""bfloat16 is for processors that have it, and for whoever insists."""

import argparse

import pytest
import tensorflow as tf

from rethink_fr.commands.restore import _precision, add_arguments
from rethink_fr.config import precision
from rethink_fr.config.precision import multiplies_bfloat16, why_float32
from rethink_fr.training.run import build_trainer
from tests.training.helpers import small_config


@pytest.fixture()
def processor(tmp_path, monkeypatch):
    """Sets the flags of the processor, of a machine without a GPU."""
    monkeypatch.setattr(precision, "_CPU", tmp_path / "cpuinfo")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    return lambda flags: (tmp_path / "cpuinfo").write_text(f"flags : fpu avx2 avx512f {flags}\n")


@pytest.mark.parametrize(
    ("flags", "has"), [("", False), ("avx512_bf16", True), ("amx_bf16 amx_tile", True), ("avx512_bf16x", False)]
)
def test_the_flags_of_the_processor_tell(processor, flags, has):
    processor(flags)
    assert multiplies_bfloat16() == has
    assert bool(why_float32("bfloat16", forced=False, gpu=False)) != has
    assert why_float32("bfloat16", forced=True, gpu=False) == why_float32("bfloat16", forced=False, gpu=True) == ""
    assert why_float32("float32", forced=False, gpu=False) == ""


def test_a_processor_that_cannot_be_asked_has_none(processor):
    assert not multiplies_bfloat16()


@pytest.mark.parametrize(
    ("flags", "forced", "used"),
    [("", [], "float32"), ("", ["--force-precision"], "bfloat16"), ("amx_bf16", [], "bfloat16")],
)
def test_restore_says_that_it_computes_in_float32(processor, capsys, flags, forced, used):
    processor(flags)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert _precision(parser.parse_args(["a.png", "--output", "out", "--precision", "bfloat16", *forced])) == used
    told = capsys.readouterr().err.splitlines()
    assert len(told) == (used == "float32") and all("no instructions for bfloat16" in line for line in told)


@pytest.mark.parametrize(("forced", "used"), [(False, tf.float32), (True, tf.bfloat16)])
def test_so_does_train(processor, capsys, forced, used):
    processor("")
    trainer = build_trainer(small_config(precision="bfloat16", force_precision=forced))
    assert {layer.precision for layer in trainer.task.generator.submodules if hasattr(layer, "precision")} == {used}
    assert ("training.force_precision=true insists" in capsys.readouterr().err) != forced
