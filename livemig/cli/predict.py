"""``livemig predict RUN.toml``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "run_toml", type=Path, metavar="RUN.toml", help="of a capture; its source.log and destination.log beside it"
    )
    parser.add_argument("--json", action="store_true", help="the comparison as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.launch.comparison import compare

    comparison = compare(args.run_toml)
    if args.json:
        import orjson

        print(orjson.dumps(comparison.as_dict()).decode())
    else:
        from livemig.launch.comparison_text import comparison_text

        print(comparison_text(comparison))
    return 0 if comparison.agrees else 1
