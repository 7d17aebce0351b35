"""`rethink-fr weights` from the command line, against a server of this machine."""

import hashlib
import os
import re
import subprocess
import sys

import pytest

from rethink_fr.cli import main
from rethink_fr.weights import fetching as weights
from rethink_fr.weights.known import KNOWN_WEIGHTS, KnownWeights, WeightFile
from tests.weights.http_server import serving

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path))
    return tmp_path / "weights"


@pytest.fixture
def served(cache, monkeypatch):
    """Two files under one name, of which the second's checksum is not known; another name with a wrong checksum."""
    with serving(CONTENT) as server:
        pair = (WeightFile("a.pth", server.url, SHA256, 0.1), WeightFile("b.pth", server.url, None, 0.2))
        bad = (WeightFile("c.pth", server.url, "0" * 64, 0.1),)
        known = {"pair": KnownWeights(pair, "a test", "none"), "bad": KnownWeights(bad, "a test", "none")}
        monkeypatch.setattr(weights, "KNOWN_WEIGHTS", known)
        yield server


def test_the_table_can_be_trusted():
    files = [file for known in KNOWN_WEIGHTS.values() for file in known.files]
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert file.url.startswith("https://") and file.megabytes > 0
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        # Torch's habit: the first eight digits are in the name.
        stated = re.search(r"-([0-9a-f]{8})\.pth$", file.url)
        assert stated is None or file.sha256.startswith(stated[1])


def test_list_says_what_is_there_and_under_which_terms(cache, capsys):
    assert main(["weights", "list"]) == 0
    output = capsys.readouterr().out
    for name, known in KNOWN_WEIGHTS.items():
        assert re.search(rf"^{name} +absent +[\d.]+ MB  {re.escape(known.serves)}$", output, re.MULTILINE)
        assert known.licence in output
    assert "sha256 recorded on first fetch" in output and str(cache) in output
    file = KNOWN_WEIGHTS["inception"].files[0]
    cache.mkdir()
    file.path.write_bytes(b"x")
    KNOWN_WEIGHTS["lpips-vgg"].files[1].path.write_bytes(b"x")
    assert main(["weights", "list"]) == 0
    output = capsys.readouterr().out
    assert re.search("^inception +present", output, re.MULTILINE)
    assert re.search("^lpips-vgg +incomplete", output, re.MULTILINE)


def test_fetch_then_verify(served, cache, capsys):
    assert main(["weights", "fetch", "pair"]) == 0
    assert sorted(path.name for path in cache.iterdir()) == ["a.pth", "b.pth", "b.pth.sha256"]
    assert (cache / "b.pth").read_bytes() == CONTENT
    assert f"b.pth: fetched, sha256 {SHA256} as when it was fetched" in capsys.readouterr().out
    assert main(["weights", "fetch", "pair", "pair"]) == 0
    assert len(served.asked) == 2  # what is there is not fetched again
    assert f"a.pth: there already, sha256 {SHA256}" in capsys.readouterr().out
    assert main(["weights", "verify"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["weights", "list"]) == 0
    assert f"b.pth  sha256 {SHA256}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.pth", "b.pth"])
def test_verify_finds_what_changed(served, cache, capsys, name):
    main(["weights", "fetch", "pair"])
    (cache / name).write_bytes(CONTENT[:-1])
    capsys.readouterr()
    for command in (["verify"], ["verify", "pair"]):
        assert main(["weights", *command]) == 1
        captured = capsys.readouterr()
        assert f"{name}: has the SHA-256" in captured.err
        assert f"expected {SHA256}; `rethink-fr weights fetch pair` replaces it" in captured.err
        assert len(captured.err.splitlines()) == len(captured.out.splitlines()) == 1
    assert main(["weights", "fetch", "pair"]) == 0  # as the message says
    assert f"{name}: was another file, fetched again, sha256 {SHA256}" in capsys.readouterr().out
    assert (cache / name).read_bytes() == CONTENT


@pytest.mark.parametrize("note", ["", "0" * 64, "no checksum", "x" * 2000, "caf\udce9"])
def test_a_noted_checksum_that_is_damaged_fits_nothing_and_can_be_mended(served, cache, capsys, note):
    main(["weights", "fetch", "pair"])
    (cache / "b.pth.sha256").write_text(note, errors="surrogateescape")
    capsys.readouterr()
    assert main(["weights", "verify"]) == 1
    errors = capsys.readouterr().err
    assert f"b.pth: has the SHA-256 {SHA256}, expected " in errors and len(errors.splitlines()) == 1
    assert main(["weights", "fetch", "pair"]) == (1 if note == "0" * 64 else 0)
    capsys.readouterr()
    if note != "0" * 64:  # which is a checksum: what is served is not what was noted
        assert main(["weights", "verify"]) == 0


def test_folders_are_for_this_user_alone_and_others_are_refused(served, cache, capsys):
    assert main(["weights", "fetch", "pair"]) == 0
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)
    assert main(["weights", "fetch", "pair"]) == 2
    errors = capsys.readouterr().err
    assert f"run: chmod go-w {cache}, or set RETHINK_FR_CACHE to a folder of your own" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("where", ["relative", "file", "below a file"])
def test_a_cache_that_cannot_be_is_one_line(served, tmp_path, monkeypatch, capsys, where):
    (tmp_path / "file").touch()
    places = {"relative": "cache", "file": str(tmp_path / "file"), "below a file": str(tmp_path / "file/deep")}
    monkeypatch.setenv("RETHINK_FR_CACHE", places[where])
    assert main(["weights", "fetch", "pair"]) == 2
    errors = capsys.readouterr().err
    assert "RETHINK_FR_CACHE" in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_somebody_else_put_in_the_place_of_a_part_is_not_written_to(served, cache, tmp_path, capsys, kind):
    cache.mkdir(mode=0o700)
    (tmp_path / "precious").write_text("precious")
    part = cache / "a.pth.part"
    part.symlink_to(tmp_path / "precious") if kind == "link" else os.mkfifo(part)
    assert main(["weights", "fetch", "pair"]) == 1
    captured = capsys.readouterr()
    assert "a.pth.part: cannot be written" in captured.err and len(captured.err.splitlines()) == 1
    assert (tmp_path / "precious").read_text() == "precious"
    assert "b.pth: fetched" in captured.out


def test_one_failure_does_not_stop_the_others(served, cache, capsys):
    assert main(["weights", "fetch", "bad", "pair"]) == 1
    captured = capsys.readouterr()
    assert "c.pth: " in captured.err and "expected 000" in captured.err and len(captured.err.splitlines()) == 1
    assert len(captured.out.splitlines()) == 2
    assert sorted(path.name for path in cache.iterdir()) == ["a.pth", "b.pth", "b.pth.sha256"]


def test_verify_of_nothing(served, cache, capsys):
    assert main(["weights", "verify"]) == 0
    assert capsys.readouterr().out == "nothing was fetched yet\n"
    assert main(["weights", "verify", "pair"]) == 1
    assert "a.pth: is not there; fetch it first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["fetch"], "name what to fetch: inception, facenet"),
        (["fetch", "resnet"], "resnet: no such weights; expected inception, facenet"),
        (["verify", "resnet"], "resnet: no such weights"),
    ],
)
def test_misuse_is_one_line(cache, capsys, command, message):
    assert main(["weights", *command]) == 2
    errors = capsys.readouterr().err
    assert message in errors and len(errors.splitlines()) == 1


def test_the_command_does_without_tensorflow(cache):
    code = (
        "import sys; from rethink_fr.cli import main; assert main(['weights', 'list']) == 0; "
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
