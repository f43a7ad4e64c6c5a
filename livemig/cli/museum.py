"""``livemig museum [NAME…]``."""

from __future__ import annotations

import argparse
import sys

from livemig.cli.options import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="exhibits to show; all of them, if none is named")
    add_output(parser, "where the exhibits' configurations and run directories go")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.launch.museum import museum_text, show

    shown = show(args.names, args.out, lambda name: print(f"{name} …", file=sys.stderr))
    if args.json:
        import orjson

        print(orjson.dumps({"exhibits": {each.name: each.as_dict() for each in shown}}).decode())
    else:
        print(museum_text(shown, colour=sys.stdout.isatty()))
    return 0 if all(each.holds for each in shown) else 1
