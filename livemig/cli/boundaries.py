"""``livemig boundaries CONFIG``."""

from __future__ import annotations

import argparse
import sys

from livemig.cli.options import add_config, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    parser.add_argument(
        "--strategy", action="append", default=[], metavar="NAME",
        help="beside the configuration's own; may be given again; all of them, if none is",
    )  # fmt: skip
    parser.add_argument(
        "--timer", action="append", default=[], metavar="NAME", help="may be given again; all of them, if none is"
    )
    parser.add_argument("--json", action="store_true", help="print every cell, as one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.launch.boundaries import boundaries

    config = read_config(args)
    matrix = boundaries(config, args.strategy, args.timer, lambda what: print(f"{what} …", file=sys.stderr))
    if args.json:
        import orjson

        print(orjson.dumps(matrix.as_dict()).decode())
    else:
        from livemig.launch.boundaries_text import boundaries_text

        print(boundaries_text(matrix, colour=sys.stdout.isatty()))
    return 0 if matrix.holds else 1
