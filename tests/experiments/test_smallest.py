"""The smallest experiment again, from nothing: the published table comes out, to within its intervals."""

import json
import subprocess
import sys
import time

import pytest

from tests.command_line import ROOT

PUBLISHED = ROOT / "docs/experiments/smallest.json"
MINUTES = 10  # on two cores that do nothing else


@pytest.mark.slow
def test_the_published_table_comes_out_again(tmp_path):
    """As a user repeats it. Seeds are fixed: what differs is how processors round, and what training makes of it."""
    command = [sys.executable, "-m", "rethink_fr", "experiment", "smallest", "--processes", "2"]
    began = time.perf_counter()
    done = subprocess.run([*command, "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes; {MINUTES} are promised on two idle cores")
    published, again = (json.loads(path.read_text(encoding="utf-8")) for path in (PUBLISHED, tmp_path / "table.json"))
    assert [part["kind"] for part in again["tables"]] == [part["kind"] for part in published["tables"]]
    for old_part, new_part in zip(published["tables"], again["tables"]):
        assert [row["name"] for row in new_part["rows"]] == [row["name"] for row in old_part["rows"]]
        for old, new in zip(old_part["rows"], new_part["rows"]):
            assert set(new["cells"]) == set(old["cells"])
            for metric, cell in old["cells"].items():
                (low, high), found = cell["interval"], new["cells"][metric]
                assert low <= found["mean"] <= high, (old["name"], metric)
                if "difference" in cell and cell["difference"] is not None:
                    low, high = cell["difference"]["interval"]
                    assert low <= found["difference"]["mean"] <= high, (old["name"], metric)
