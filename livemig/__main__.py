"""``python -m livemig``."""

import sys

from livemig.cli.main import main

sys.exit(main())
