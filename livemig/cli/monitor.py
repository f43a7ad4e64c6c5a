"""``livemig monitor URI…``."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("uris", metavar="URI", nargs="+", help="QMP sockets, unix:PATH, of livemig's sides or a QEMU's")
    parser.add_argument("--interval", type=_interval, default=0.2, metavar="S", help="seconds between two looks: 0.2")


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.01 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time between 0.01 and 3600 s")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Run it."""
    import trio

    from livemig.errors import plain
    from livemig.launch.monitor import Screen, socket_of, watch
    from livemig.launch.monitor_text import GONE

    try:
        sides = trio.run(watch, [socket_of(uri) for uri in args.uris], Screen().show, args.interval)
    except KeyboardInterrupt:
        return 130
    except BaseExceptionGroup as group:
        error = plain(group)
        if isinstance(error, KeyboardInterrupt):
            return 130
        raise error from group
    return 3 if any(side.word == GONE for side in sides) else 0
