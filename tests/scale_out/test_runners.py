"""Pipelines on other runners than the one in this process, with workers that are killed. Slow: processes are started.

python -m pytest -m slow tests/scale_out
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Iterator

import pytest

from rethink_fr.errors import RunFailure
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.scale_out.inputs import list_inputs
from rethink_fr.scale_out.launch import Ran, launch
from rethink_fr.scale_out.output import open_output
from tests.command_line import ROOT
from tests.faces.scenes import group
from tests.scale_out.helpers import NO_BEAM, files, outcomes, tiny_run

beam = pytest.importorskip("apache_beam", reason=NO_BEAM)
pytestmark = pytest.mark.slow

from rethink_fr.scale_out.photos import photo_items  # noqa: E402
from tests.scale_out.faults import FaultyPhotoWork  # noqa: E402

WORKER = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
TWO_PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Drawn faces, for the detector as it is."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        group((240, 200), [(10 + 5 * number, 20, 130)]).save(folder / f"{number}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def here(run, photos, tmp_path_factory) -> Path:
    """What the local command makes."""
    output = tmp_path_factory.mktemp("here")
    command(run, photos, output)
    return output


@pytest.fixture(autouse=True)
def found_by_workers(monkeypatch) -> None:
    """Processes of workers find the package and the tests, and share the cores as these do."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def command(run: Path, photos: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "rethink_fr", "restore", str(photos), "--model", str(run), "--output", str(output)]
    return subprocess.run([*call, *options], capture_output=True, text=True, cwd=ROOT, timeout=500)


def with_faults(run: Path, photos: Path, output: Path, faults: dict, runner: str, options: str, times: int = 1) -> Ran:
    settings = PhotoSettings(str(run))
    seen = output.with_name("seen")
    seen.mkdir(exist_ok=True)
    folder = open_output(output, {}, [photos], False)
    items = list(photo_items(list_inputs([photos], output, (".png",)).files, settings))
    return launch(items * times, FaultyPhotoWork(settings, faults, str(seen)), folder, runner, options)


@pytest.fixture
def job_service() -> Iterator[str]:
    """Beam's portable job service in a process of its own, spoken to by gRPC; its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    server = subprocess.Popen([sys.executable, "-m", module, "--port", str(port)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"localhost:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize(
    "environment",
    [
        "--environment_type=LOOPBACK",
        f"--environment_type=beam:env:harness_subprocess_python:v1 --environment_config='{WORKER}'",
    ],
    ids=["in the command", "processes of the service"],
)
def test_a_portable_job_service_by_the_command(run, photos, here, tmp_path, job_service, environment):
    options = f"--job_endpoint={job_service} {environment}"
    for earlier in (0, 8):
        done = command(run, photos, tmp_path / "out", "--runner", "portable", "--runner-options", options)
        assert done.returncode == 1 and "8 of 9 restored" in done.stdout, done.stderr
        assert ("finished_before 8" in done.stdout) == bool(earlier)
        assert files(tmp_path / "out") == files(here)
    assert outcomes(tmp_path / "out").keys() == {path.name for path in photos.iterdir()}


def test_faults_and_double_delivery_on_a_portable_job_service(run, photos, here, tmp_path, job_service):
    options = f"--job_endpoint={job_service} --environment_type=LOOPBACK"
    faults = {"open 0.png": "once", "infer 1.png": "once", "infer 3.png": "always", "finish 4.png": "always"}
    ran = with_faults(run, photos, tmp_path / "out", faults, "portable", options, times=2)
    assert (ran.finished, ran.dead_letters) == (6, 3)
    assert outcomes(tmp_path / "out").keys() == {path.name for path in photos.iterdir()}
    assert files(tmp_path / "out") == {n: d for n, d in files(here).items() if n not in ("3.png", "4.png")}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of Beam's runner, by gRPC
@pytest.mark.parametrize("step", ["open 2.png", "infer 5.png", "finish 6.png"])
def test_two_processes_one_of_which_is_killed(run, photos, here, tmp_path, step):
    """Beam's runner on this machine ends then; the same call goes on with what is left."""
    with pytest.raises(RunFailure, match="run the same command again"):
        with_faults(run, photos, tmp_path / "out", {step: "kill"}, "direct", TWO_PROCESSES)
    assert files(tmp_path / "out").items() <= files(here).items()
    ran = with_faults(run, photos, tmp_path / "out", {}, "direct", TWO_PROCESSES)
    assert (ran.finished, ran.dead_letters) == (8, 1)
    assert files(tmp_path / "out") == files(here)
    assert outcomes(tmp_path / "out").keys() == {path.name for path in photos.iterdir()}


def test_a_command_that_is_killed_at_any_time_goes_on(run, photos, here, tmp_path):
    call = [sys.executable, "-m", "rethink_fr", "restore", str(photos), "--model", str(run)]
    call += ["--output", str(tmp_path / "out"), "--runner", "direct"]
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list((tmp_path / "out").glob("*.png"))) < 3:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = command(run, photos, tmp_path / "out", "--runner", "direct")
    assert "8 of 9 restored" in done.stdout and "finished_before" in done.stdout, done.stderr
    assert files(tmp_path / "out") == files(here)
