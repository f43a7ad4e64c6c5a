"""``python -m benchmarks NAME …``: measure; prints one JSON object a figure."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = ("interrupts", "stream", "startup", "analysis", "convergence", "campaign", "qemu_precopy")


def main() -> int:
    """Run the benchmark named on the command line."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print(f"usage: python -m benchmarks {'|'.join(NAMES)} [OPTION …]", file=sys.stderr)
        return 2
    name = sys.argv.pop(1)
    import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
