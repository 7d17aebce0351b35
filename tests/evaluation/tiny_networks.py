"""Networks of a few lines in the place of the published ones, for tests of what is done with their features."""

import numpy as np


class Means:
    """Means over squares of the picture, as a network's features; counts its calls."""

    sha256 = "0" * 64

    def __init__(self, name, squares):
        self.name, self.squares, self.calls = name, squares, 0

    def __call__(self, images):
        self.calls += 1
        assert images.dtype == np.uint8
        count, rows, columns, _ = images.shape
        steps = (self.squares, rows // self.squares, self.squares, columns // self.squares)
        squares = images.reshape(count, *steps, 3).mean((2, 4))
        return (squares.reshape(len(images), -1) - 128.0).astype(np.float32)


class Points(Means):
    def __call__(self, images):
        return super().__call__(images).reshape(len(images), -1, 2)


class Codes(Means):
    """Squares by their brightness, as one of eight codes."""

    codebook_size = 8

    def __call__(self, images):
        return np.clip(super().__call__(images)[:, ::3] // 32 + 4, 0, 7)


class Colours:
    """The picture itself as the only feature map."""

    name, sha256, heads = "colours", "1" * 64, [np.array([1.0, 2.0, 3.0])]

    def __call__(self, images):
        return [np.maximum(images, 0.0)]


def tiny_networks() -> dict:
    """One for each need of a network; identity features serve two of them, as with `--identity-net`."""
    identity = Means("identity", 1)
    return {
        "inception": Means("inception", 4),
        "recognition": identity,
        "neighbours": identity,
        "landmarks": Points("points", 4),
        "codes": Codes("codes", 4),
        "lpips_vgg": Colours(),
        "lpips_alex": Colours(),
        "perceptual": Colours(),
    }
