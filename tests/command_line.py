"""What tests of several commands ask of the command line."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Sequence

ROOT = Path(__file__).resolve().parents[1]

# Code for a process that looks at its own peak of memory, in kB. Not `ru_maxrss`, which begins at that of the process
# it was started from.
PEAK_MEMORY = (
    "def peak():\n"
    "    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
)


def shell_block(page: str, heading: str) -> str:
    """The commands in the only block of a guide's section that is marked as `shell`: its own test runs them."""
    section = (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```shell\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return block.replace("\\\n", " ")


def assert_train_refuses(output: Path, arguments: Sequence[str], message: str) -> None:
    """`train` ends with exit code 2 and one line that holds `message`, TensorFlow not loaded, `output` not made."""
    code = (
        "import sys; from rethink_fr.cli import main; code = main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "--output", str(output), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not output.exists()
