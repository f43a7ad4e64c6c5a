"""``livemig source CONFIG``."""

from __future__ import annotations

import argparse

from livemig.cli.one_side import add_side_options, run_one_side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_side_options(parser)
    parser.add_argument(
        "--connect", metavar="URI",
        help="migrate there, unix:PATH, tcp:HOST:PORT, tls:HOST:PORT or file:PATH; else QMP must say `migrate`",
    )  # fmt: skip
    parser.add_argument("--from", dest="restore", metavar="file:PATH", help="go on with the guest in this file")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.errors import UsageError
    from livemig.events.schema import SOURCE

    if args.connect is None and args.qmp is None:
        raise UsageError("source: needs --connect URI, or --qmp unix:PATH to be told to migrate")
    return run_one_side(SOURCE, args, args.connect, args.restore)
