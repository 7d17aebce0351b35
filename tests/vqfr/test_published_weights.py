"""Names, layouts and refusals of published weights."""

import json
import math

import numpy as np
import pytest

from rethink_fr.vqfr import (
    VQFR,
    VQGAN,
    PatchDiscriminator,
    StyleDiscriminator,
    TorchStateError,
    WaveletDiscriminator,
    load_torch_state,
    torch_state,
)
from rethink_fr.vqfr.published_weights import _CONSTANTS, official_weights
from tests.vqfr.golden import rule_state, rule_value

SMALL = {"resolution": 64, "width": 1 / 8, "levels": 3, "codebook_size": 20}


def small_state(network) -> dict:
    return {name: rule_value(name, weight.shape) for name, weight in official_weights(network).items()}


@pytest.mark.parametrize(
    ("make", "file", "count"),
    [
        (lambda: VQFR(1), "v1", 76_563_583),
        (lambda: VQFR(2), "v2", 83_486_539),
        (lambda: VQGAN(1), "vqgan_v1", 52_781_827),
        (lambda: VQGAN(2), "vqgan_v2", 63_740_099),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_published_names_and_shapes_are_each_used_once(shared, make, file, count):
    network = make()
    entries = json.loads((shared / f"golden/vqfr/state_dict_{file}.json").read_text())
    ours = {name: weight.shape for name, weight in official_weights(network).items()}
    assert ours == {name: tuple(shape) for name, shape in entries}
    assert len(network.weights) == len(entries) == len({id(w.variable) for w in official_weights(network).values()})
    assert network.count_params() == count


@pytest.mark.parametrize(
    ("make", "file", "count"),
    [
        (WaveletDiscriminator, "swagan_disc", 27_772_799),
        (PatchDiscriminator, "patch_disc_v1", 2_782_002),
        (lambda: PatchDiscriminator(layers=4), "patch_disc_v2", 6_986_034),
        (StyleDiscriminator, "stylegan2_disc", 29_053_070),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_published_names_and_shapes_of_discriminators_are_each_used_once(shared, make, file, count):
    network = make()
    entries = json.loads((shared / f"golden/vqfr/state_dict_{file}.json").read_text())
    shapes = {name: tuple(shape) for name, shape in entries if name.rpartition(".")[2] not in _CONSTANTS}
    weights = official_weights(network)
    assert {name: weight.shape for name, weight in weights.items()} == shapes
    assert len(network.weights) == len(shapes) == len({id(weight.variable) for weight in weights.values()})
    assert sum(math.prod(shape) for name, shape in shapes.items() if ".running_" not in name) == count


def test_the_rule_gives_its_check_values(shared):
    state = rule_state(shared / "golden/vqfr/state_dict_v1.json")
    bias = state["main_decoder.align_func_dict.Level_1.dcn.conv_offset.bias"]
    np.testing.assert_allclose([bias[0], bias[1], bias[-1]], [-0.77402073, 0.70981961, -0.074623473], rtol=1e-6)
    total = sum(np.abs(values).sum(dtype=np.float64) for values in state.values())
    np.testing.assert_allclose(total, 1344849.607, rtol=1e-9)
    patches = rule_state(shared / "golden/vqfr/state_dict_patch_disc_v1.json")
    np.testing.assert_allclose(patches["main.3.running_var"].sum(dtype=np.float64), 145.479708, rtol=1e-8)
    wavelets = rule_state(shared / "golden/vqfr/state_dict_swagan_disc.json")
    vector = wavelets["final_conv.0.module.weight_u"]
    np.testing.assert_allclose(vector[:2], [0.0048452467, 0.0646125], rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VQFR(1, **SMALL),
        lambda: VQFR(2, **SMALL),
        lambda: VQGAN(1, **SMALL),
        lambda: VQGAN(2, **SMALL),
        lambda: WaveletDiscriminator(64, width=1 / 16),
        lambda: StyleDiscriminator(64, width=1 / 16),
        lambda: PatchDiscriminator(width=1 / 8),
    ],
    ids=["VQFR 1", "VQFR 2", "VQGAN 1", "VQGAN 2", "wavelets", "style", "patches"],
)
def test_what_is_loaded_comes_back(make):
    network = make()
    state = small_state(network)
    load_torch_state(network, state)
    returned = torch_state(network)
    assert set(returned) == set(state)
    for name, values in state.items():
        np.testing.assert_array_equal(returned[name], values)


def test_layouts_are_what_pytorch_calls_them():
    network = VQFR(1, **SMALL)
    state = small_state(network)
    load_torch_state(network, state)
    name = "encoder.conv_in"
    np.testing.assert_array_equal(network.encoder.conv_in.kernel[2, 0, 1, 5], state[f"{name}.weight"][5, 1, 2, 0])
    warping = network.main_branch.warpings[0]
    depthwise = state["main_decoder.align_func_dict.Level_4.offset_conv1.3.weight"]
    np.testing.assert_array_equal(warping.offset_conv.links[2].depthwise_kernel[4, 6, 3, 0], depthwise[3, 0, 4, 6])


def test_vectors_of_spectral_norms_are_flattened_channels_first():
    network = PatchDiscriminator(width=1 / 8)
    state = small_state(network)
    load_torch_state(network, state)
    vector, name = network.convolutions[0][0].right_vector, "main.2.module.weight_v"
    np.testing.assert_array_equal(vector[3, 1, 5], state[name].reshape(8, 4, 4)[5, 3, 1])


def test_what_does_not_fit_is_named_and_nothing_is_changed():
    network = VQFR(2, **SMALL)
    before = torch_state(network)
    state = small_state(network)
    names = list(state)
    bad = dict(state)
    del bad[names[3]], bad[names[7]]
    bad["encoder.extra.weight"] = np.zeros(3)
    bad[names[10]] = np.zeros([2, 2])
    with pytest.raises(TorchStateError) as error:
        load_torch_state(network, bad)
    message = str(error.value)
    assert "VQFR version 2" in message and len(message.splitlines()) == 1
    assert f"2 missing, the first is {names[3]}" in message
    assert "1 unexpected, the first is encoder.extra.weight" in message
    assert f"1 misshapen, the first is {names[10]} [2, 2] instead of {list(state[names[10]].shape)}" in message
    for name, values in torch_state(network).items():
        np.testing.assert_array_equal(values, before[name])


def test_buffers_of_constants_are_passed_over():
    network = VQGAN(1, **SMALL)
    load_torch_state(network, {**small_state(network), "some.blur.kernel": np.ones([4, 4])})
