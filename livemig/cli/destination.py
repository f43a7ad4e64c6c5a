"""``livemig destination CONFIG --listen URI``."""

from __future__ import annotations

import argparse

from livemig.cli.one_side import add_side_options, run_one_side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_side_options(parser)
    parser.add_argument(
        "--listen", metavar="URI", required=True,
        help="wait for the source there, unix:PATH, tcp:HOST:PORT or tls:HOST:PORT; or restore file:PATH; or defer: "
        "QMP `migrate-incoming` says where",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.events.schema import DESTINATION

    return run_one_side(DESTINATION, args, args.listen)
