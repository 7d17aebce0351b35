"""What is seen of a run: what it says when it starts, its records, and TensorBoard in a real browser."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from rethink_fr.commands.train import identity_network
from rethink_fr.config.checks import ConfigError
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.config_file import load_config
from rethink_fr.systems import SYSTEMS
from rethink_fr.training import announcement
from rethink_fr.training.run import train
from tests.command_line import ROOT
from tests.training import toy
from tests.training.helpers import all_records, replace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(autouse=True)
def toy_kind(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run of five steps that is validated at 2 and 4, and then continued by a clock that was set back."""
    run = tmp_path_factory.mktemp("watched") / "run"
    config = toy.experiment(steps=5, validate_every=2, checkpoint_every=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SYSTEMS, "toy", toy.SYSTEM)
        train(config, "one", run)
        (events,) = (run / "logs").iterdir()
        ahead = re.sub(r"tfevents\.\d+", f"tfevents.{int(time.time()) + 86400}", events.name)
        os.rename(events, events.with_name(ahead))
        train(replace(config, "training", steps=7), "one", run)
    return run


def test_the_last_step_is_validated_drawn_and_logged_whatever_the_intervals(watched):
    assert [row["step"] for row in all_records(watched) if "validation/psnr" in row] == [2, 4, 5, 6, 7]
    assert [row["step"] for row in all_records(watched) if "steps_averaged" in row] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(path.name for path in (watched / "samples").iterdir()) == [
        "final.png",
        "step_0000005.png",
        "step_0000007.png",
    ]


def test_tensorboard_has_the_configuration_and_all_steps_although_the_clock_was_set_back(watched):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(watched / "logs"), {"tensors": 0})  # reads files as TensorBoard does
    events.Reload()
    assert [event.step for event in events.Tensors("loss/fit")] == [1, 2, 3, 4, 5, 6, 7]
    texts = [tf.make_ndarray(event.tensor_proto).item().decode() for event in events.Tensors("configuration")]
    assert len(texts) == 2 and "    architecture: toy\n" in texts[0] and "steps: 7" in texts[1]
    assert events.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name == "hparams"


def test_a_clock_that_goes_backwards_all_the_time_changes_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(announcement, "_SHORT", 2)
    monkeypatch.setattr(announcement, "_TIMED", 2)
    config = toy.experiment(60, steps=12, checkpoint_every=3, validate_every=4)
    now = iter(range(2_000_000_000, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    train(replace(config, "training", steps=6), "one", tmp_path)
    train(config, "one", tmp_path)
    assert re.search(r"step \d+: [\d.]+ s a step, about [1-9]?\d seconds", capfd.readouterr().err)
    rows = all_records(tmp_path)
    assert [row["step"] for row in rows if "steps_averaged" in row] == list(range(1, 13))
    assert all(row["images_per_second"] > 0 for row in rows if "steps_averaged" in row)
    assert sorted(row["step"] for row in rows) == [row["step"] for row in rows]
    assert checkpoint_steps(tmp_path / "checkpoints") == [6, 9, 12]


def test_a_run_says_what_it_is_about_to_do_and_how_long_that_takes(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(announcement, "_SHORT", 2)
    monkeypatch.setattr(announcement, "_TIMED", 2)
    config = toy.experiment(6, steps=12, checkpoint_every=6)
    train(replace(config, "training", steps=6), "one", tmp_path)
    new = capfd.readouterr().err
    train(config, "one", tmp_path)
    continued = capfd.readouterr().err
    line = r"processor: 12 pictures at 32 px, 0\.00 M trained parameters, 6 steps of 4 pictures, about \S+ \w+, until "
    assert re.search(line, new) and re.search(line, continued)
    assert re.search(r"step 4: \S+ s a step, about \S+ seconds, until \d\d:\d\d", new)
    assert announcement.duration(30) == "30 seconds" and announcement.duration(3 * 86400) == "3.0 days"


def test_an_identity_network_that_is_not_there_is_told_as_a_setting(tmp_path):
    assert identity_network("") is None
    with pytest.raises(ConfigError, match="training.identity_network: .*none.onnx: no such file"):
        identity_network(str(tmp_path / "none.onnx"))
    with pytest.raises(ConfigError, match="data.validation_images: expected at least 6 where training.identity_net"):
        load_config("smoke_64", ["training.identity_network=facenet", "data.validation_images=5"])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_tensorboard_in_a_browser(watched, tmp_path):
    """Scalars, pictures, text and HParams are on the page. `RETHINK_FR_SHOTS` names a folder for pictures of it."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("the package playwright, which drives Chromium, is not installed")
    from playwright.sync_api import sync_playwright

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(watched / "logs"), "--port", str(port)]
    shots = os.environ.get("RETHINK_FR_SHOTS", str(tmp_path))
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, "TensorBoard did not start"
                time.sleep(0.5)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            page.set_default_timeout(120_000)
            for tab, seen in (
                ("timeseries", "gradient_norm/critic"),
                ("text", "architecture: toy"),
                ("hparams", "data.color_jitter"),
                ("images", "samples"),
            ):
                page.goto(f"http://127.0.0.1:{port}/#{tab}")
                page.reload()
                page.get_by_text(seen).first.wait_for()
                page.wait_for_timeout(2000)
                page.screenshot(path=f"{shots}/tensorboard_{tab}.png")
            browser.close()
    finally:
        server.terminate()
        server.wait(30)
