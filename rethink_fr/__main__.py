"""`python -m rethink_fr`, the same as `rethink-fr`."""

import sys

from rethink_fr.cli import main

sys.exit(main())
