"""Tables 4 and 5: channels belong to resolutions."""

import pytest

from rethink_fr.restorer.network import (
    DECODER_CHANNELS,
    ENCODER_CHANNELS,
    check_resolution,
    decoder_resolutions,
    encoder_resolutions,
    scaled,
    skip_resolutions,
)

RESOLUTIONS = (32, 64, 128, 256, 512, 1024)


def test_the_encoder_has_the_channels_of_the_paper():
    paper = {256: 32, 128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512}
    assert {side: ENCODER_CHANNELS[side] for side in encoder_resolutions(512)} == paper


def test_the_decoder_has_the_channels_of_the_paper():
    paper = {8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32}
    assert {side: DECODER_CHANNELS[side] for side in decoder_resolutions(512)} == paper


def test_1024_continues_the_tables_with_halved_channels():
    assert ENCODER_CHANNELS[512] * 2 == ENCODER_CHANNELS[256]
    assert DECODER_CHANNELS[1024] * 2 == DECODER_CHANNELS[512]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_encoder_goes_from_half_the_image_to_4_and_the_decoder_from_8_to_the_image(resolution):
    octaves = [2**power for power in range(2, 11)]
    assert encoder_resolutions(resolution) == [side for side in reversed(octaves) if side <= resolution // 2]
    assert decoder_resolutions(resolution) == [side for side in octaves if 8 <= side <= resolution]


@pytest.mark.parametrize(("resolution", "most"), [(32, 2), (64, 3), (128, 4), (256, 5), (512, 6), (1024, 7)])
def test_skips_count_from_8_upward_and_stay_below_the_image(resolution, most):
    for n_skips in range(most + 1):
        assert skip_resolutions(resolution, n_skips) == [8 * 2**position for position in range(n_skips)]
    for n_skips in (-1, most + 1):
        with pytest.raises(ValueError, match=f"expected 0 to {most} for a {resolution} px network"):
            skip_resolutions(resolution, n_skips)


def test_the_width_scales_every_entry_down_to_one_channel():
    assert [scaled(channels, 0.5) for channels in (512, 32)] == [256, 16]
    assert scaled(32, 1.0) == 32
    assert scaled(16, 1 / 64) == 1


@pytest.mark.parametrize("resolution", [0, 4, 16, 48, 100, 500, 2048, -64])
def test_other_resolutions_are_an_error(resolution):
    for function in (check_resolution, encoder_resolutions, decoder_resolutions):
        with pytest.raises(ValueError, match="expected a power of two from 32 to 1024"):
            function(resolution)
