"""What ``livemig source`` and ``livemig destination`` share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from livemig.cli.options import add_config, read_config
from livemig.cli.progress import print_progress


def add_side_options(parser: argparse.ArgumentParser) -> None:
    """``CONFIG`` and the options of both."""
    add_config(parser)
    parser.add_argument("--qmp", metavar="unix:PATH[,server]", help="serve QMP there, and stay until told to quit")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory; both sides may share one")
    parser.add_argument("--tls-dir", metavar="DIR", help="override migration.tls_dir: certificates, QEMU's file names")
    parser.add_argument("--insecure", action="store_true", help="let plain TCP leave this machine")


def run_one_side(side: str, args: argparse.Namespace, uri: str | None, restore: str | None = None) -> int:
    """Run it, and say how it ended."""
    from livemig.emulator.notices import Notice
    from livemig.emulator.process import Control
    from livemig.launch.one_side import run_side

    def notice(what: Notice) -> None:
        print_progress(side, {"event": what.event, "data": what.data})

    def announce(text: str) -> None:
        print(f"livemig {side}: {text}", file=sys.stderr)

    if args.tls_dir is not None:
        args.overrides.append(f"migration.tls_dir={Path(args.tls_dir).resolve()}")
    config = read_config(args)
    if config.engine.kind == "qemu":
        from livemig.errors import UsageError

        raise UsageError(f"{args.config}: engine.kind: a side of its own is livemig's emulator (allowed: emulator)")
    outcome, directory = run_side(
        side, config, args.config, args.out, uri, args.qmp, args.insecure, Control(notice=notice), announce, restore
    )
    because = f" ({outcome.reason})" if outcome.reason else ""
    print(f"{side}: migration {outcome.status}{because}; owner of the guest: {outcome.owner}; log in {directory}")
    return outcome.exit_code
