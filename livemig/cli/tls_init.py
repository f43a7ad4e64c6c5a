"""``livemig tls-init DIR``."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("directory", metavar="DIR", help="is made if it is not there; no file in it is overwritten")
    parser.add_argument(
        "--host", action="append", default=[], metavar="NAME",
        help="a name or address by which sources reach the destination, beside localhost and this host's own name",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Make the files, and name them."""
    from livemig.link.credentials import make

    for path in make(args.directory, args.host):
        print(path)
    return 0
