"""``livemig boundaries CONFIG``."""

from __future__ import annotations

import argparse
import os
import sys

from livemig.cli.options import add_config, read_config

_MOST_JOBS = 256


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
    parser.add_argument("--jobs", type=int, metavar="N", help="processes; as many as there are CPUs, if it is not said")
    parser.add_argument("--json", action="store_true", help="print every cell, as one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.errors import UsageError
    from livemig.launch.boundaries import boundaries

    config = read_config(args)
    jobs = len(os.sched_getaffinity(0)) if args.jobs is None else args.jobs
    if not 1 <= jobs <= _MOST_JOBS:
        raise UsageError(f"--jobs: {jobs} is out of range (allowed: 1 to {_MOST_JOBS})")
    matrix = boundaries(config, args.strategy, args.timer, lambda what: print(f"{what} …", file=sys.stderr), jobs)
    if args.json:
        import orjson

        print(orjson.dumps(matrix.as_dict()).decode())
    else:
        from livemig.launch.boundaries_text import boundaries_text

        print(boundaries_text(matrix, colour=sys.stdout.isatty()))
    return 0 if matrix.holds else 1
