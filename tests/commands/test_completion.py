"""The scripts that complete the command line, run by real shells."""

import shlex
import shutil
import subprocess
import sys

import pytest

from rethink_fr.cli import COMMANDS, main
from tests.command_line import ROOT


@pytest.fixture
def script(tmp_path, capsys):
    """Writes the script for a shell, and gives its path."""

    def write(shell):
        assert main(["completion", shell]) == 0
        path = tmp_path / f"completion.{shell}"
        path.write_text(capsys.readouterr().out)
        return path

    return write


@pytest.fixture
def place(tmp_path):
    """A folder with files and folders to complete."""
    folder = tmp_path / "place"
    (folder / "holiday" / "old").mkdir(parents=True)
    for name in ("photo one.jpg", "photo.yaml", "holiday/a.jpg"):
        (folder / name).touch()
    return folder


def completed(shell, script, place, *words):
    """What the shell offers for the last of the words after `rethink-fr`."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    line = ["rethink-fr", *words]
    if shell == "bash":  # what bash does when Tab is pressed: the function reads the words and answers by COMPREPLY
        code = f"COMP_WORDS=({shlex.join(line)}); COMP_CWORD={len(words)}\n"
        code += 'function="$(complete -p rethink-fr | sed "s/.*-F //; s/ .*//")"; "$function"\n'
        code += "printf '%s\\n' \"${COMPREPLY[@]}\""
    else:
        code = f"complete -C {shlex.quote(' '.join(line))} | cut -f 1"
    done = subprocess.run(
        [shell, "-c", f"source {shlex.quote(str(script))}\n{code}"], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return {found.rstrip("/") for found in done.stdout.splitlines() if found}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_options_choices_and_files(shell, script, place):
    written = script(shell)
    assert {command.NAME for command in COMMANDS} <= completed(shell, written, place, "")
    assert completed(shell, written, place, "e") == {"evaluate", "experiment", "export"}
    assert completed(shell, written, place, "study", "") >= {"make", "tally"}
    assert completed(shell, written, place, "restore", "--sa") == {"--samples"}
    assert {"saved_model", "tflite", "onnx"} <= completed(shell, written, place, "export", "--format", "")
    assert completed(shell, written, place, "train", "--strategy", "m") == {"mirrored", "multiworker"}
    assert completed(shell, written, place, "restore", "ph") == {"photo one.jpg", "photo.yaml"}
    assert completed(shell, written, place, "restore", "photo.yaml", "holiday/") >= {"holiday/a.jpg", "holiday/old"}
    assert completed(shell, written, place, "train", "--config", "ph") >= {"photo.yaml"}
    assert completed(shell, written, place, "completion", "") >= {"bash", "zsh", "fish"}


def test_folders_only_where_a_folder_is_wanted(script, place):
    assert completed("bash", script("bash"), place, "restore", "a.jpg", "--output", "") == {"holiday"}
    assert completed("bash", script("bash"), place, "restore", "a.jpg", "--output", "holiday/") == {"holiday/old"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_its_script(shell, script):
    written = script(shell)
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    done = subprocess.run([shell, "-n", str(written)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    assert all(command.NAME in written.read_text() for command in COMMANDS)


def test_it_loads_neither_tensorflow_nor_its_library_before_it_is_needed():
    code = (
        "import sys; from rethink_fr.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'shtab' not in sys.modules\n"
        "main(['completion', 'bash']); assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_other_shells_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "cmd.exe"])
    assert "choose from" in capsys.readouterr().err
