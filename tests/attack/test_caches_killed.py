"""The user's cache: the native library and fetched weights, killed, out of power or of space at every change."""

import hashlib
import shutil

import pytest

from tests.attack.layer import FAILING, STOPPING, hidden
from tests.ops.stand_in import write_stand_in
from tests.weights.http_server import serving

HERE = "tests.attack.run_scenarios"
CONTENT = bytes(range(256)) * (3 << 13)  # 6 MB: several pieces


def leftovers(folder) -> list:
    """What a finished build or download does not need."""
    return (
        hidden(folder)
        + [path.name for path in folder.glob("building-*")]
        + [path.name for path in folder.glob("*.part")]
    )


def attack_library(trials, folder, mode, most=None) -> None:
    pytest.importorskip("tensorflow")
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler")
    sources, cache = write_stand_in(folder / "cc").sources, folder / "cache"

    def prepare() -> None:
        shutil.rmtree(cache, ignore_errors=True)

    arguments = (f"{HERE}:build_library", cache, sources, cache)
    for ended in trials.each(prepare, *arguments, mode=mode, most=most):
        if mode in FAILING and ended.code:
            assert len(ended.output.splitlines()) <= 2, ended.output  # the first says that it builds
        again = trials.run(*arguments)
        assert again.code == 0, f"{again.output} after {ended}"
        assert len(list(cache.glob("*.so"))) == 1 and not leftovers(cache), f"{leftovers(cache)} after {ended}"


def attack_download(trials, folder, mode, most=None) -> None:
    target = folder / "weights/file.bin"

    def prepare() -> None:
        shutil.rmtree(folder / "weights", ignore_errors=True)

    with serving(CONTENT) as served:
        arguments = (f"{HERE}:fetch", folder, served.url, target, hashlib.sha256(CONTENT).hexdigest())
        for ended in trials.each(prepare, *arguments, mode=mode, most=most):
            assert not target.exists() or target.read_bytes() == CONTENT, ended
            if mode in FAILING and ended.code:
                assert len(ended.output.splitlines()) == 1, ended.output
            again = trials.run(*arguments)
            if again.code:  # what the disk lost of the part that had come is noticed, and the next attempt begins anew
                assert mode == "power" and "SHA-256" in again.output, again
                again = trials.run(*arguments)
            assert again.code == 0, f"{again.output} after {ended}"
            assert target.read_bytes() == CONTENT and not leftovers(target.parent)


@pytest.mark.parametrize("mode", ["half", "full"])
def test_a_library(tensorflow_trials, tmp_path, mode):
    attack_library(tensorflow_trials, tmp_path, mode, most=3)


@pytest.mark.parametrize("mode", STOPPING + FAILING)
def test_a_download_at_every_change(tensorflow_trials, tmp_path, mode):
    attack_download(tensorflow_trials, tmp_path, mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", STOPPING + FAILING)
def test_a_library_at_every_change(tensorflow_trials, tmp_path, mode):
    attack_library(tensorflow_trials, tmp_path, mode)
