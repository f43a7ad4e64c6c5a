"""``python -m livemig``."""

import sys

from livemig.cli.main import entry

sys.exit(entry())
