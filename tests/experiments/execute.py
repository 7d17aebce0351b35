"""`python -m tests.experiments.execute FILE` runs a file: what tests of child processes have them do."""

import runpy
import sys

if __name__ == "__main__":
    runpy.run_path(sys.argv[1], run_name="__main__")
