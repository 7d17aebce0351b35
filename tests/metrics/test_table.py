"""The table of metrics: each entry is whole, and the command's help follows it."""

import subprocess
import sys

import pytest

from rethink_fr.metrics.table import GROUPS, METRICS

ENTRIES = [metric for metrics in METRICS.values() for metric in metrics.values()]


@pytest.mark.parametrize("metric", ENTRIES, ids=lambda metric: f"{metric.name}-{'-'.join(metric.protocols)}")
def test_an_entry_is_whole(metric):
    assert metric.name and metric.title and metric.definition and "\n" not in metric.definition
    assert metric.better in ("higher", "lower", "nearer") and metric.decimals in range(1, 6)
    assert [metric.of_image, metric.of_set, metric.of_samples].count(None) == 2
    assert (metric.ideal is None) == (metric.better != "nearer")
    assert ("samples" in metric.needs) == (metric.of_samples is not None) == (metric.group == "samples")
    assert metric.counted is None or metric.of_image is not None


def test_names_and_titles_tell_metrics_apart():
    for metrics in METRICS.values():
        assert len({metric.title for metric in metrics.values()}) == len(metrics)
        assert all(metric.name == name for name, metric in metrics.items())
    assert METRICS["vqfr"].keys() < METRICS["ours"].keys()
    samples = tuple(metric.name for metric in METRICS["ours"].values() if metric.of_samples)
    assert GROUPS == {
        "lpips": ("lpips_vgg", "lpips_alex"),
        "fid": ("fid_paired", "fid_statistics"),
        "samples": samples,
    }


def test_one_definition_has_one_meaning():
    for name, metric in METRICS["vqfr"].items():
        ours = METRICS["ours"][name]
        assert (metric is ours) == (metric.definition == ours.definition)
        assert (metric.title, metric.unit, metric.better) == (ours.title, ours.unit, ours.better)


def test_the_table_loads_neither_numpy_nor_tensorflow():
    code = "import sys, rethink_fr.metrics.table; assert not {'numpy', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
