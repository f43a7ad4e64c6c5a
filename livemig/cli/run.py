"""``livemig run CONFIG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from livemig.cli.options import add_config, add_engine, add_output, read_config
from livemig.cli.progress import print_progress

if TYPE_CHECKING:
    from livemig.launch.pair import Progress, Watch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    add_engine(parser)
    add_output(parser, "the run directory")
    parser.add_argument("--hops", metavar="N", help="migration.hops: the guest crosses N times, back and forth")
    parser.add_argument("--qmp", type=Path, metavar="DIR", help="QMP sockets there: source.qmp, destination.qmp")
    parser.add_argument("--live", action="store_true", help="show the pair while it runs, as livemig monitor does")
    parser.add_argument(
        "--netns",
        action="store_true",
        help="the sides are in two network namespaces, joined by veth and tc netem (root, wall time)",
    )
    parser.add_argument(
        "--check-determinism", action="store_true", help="run twice, and report the first event that differs"
    )


def _say_lacking(what: str) -> None:
    print(f"livemig: --netns: {what}", file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.launch.pair import Attached
    from livemig.launch.scenario import run_again, run_scenario

    if args.hops is not None:
        args.overrides = [*args.overrides, f"migration.hops={args.hops}"]
    config = read_config(args)
    if args.check_determinism and config.engine.kind == "qemu":
        from livemig.errors import UsageError

        raise UsageError("--check-determinism: a real QEMU does not run twice alike")
    if args.netns:
        from livemig.launch.netns import check

        check(config)
    progress: Progress = print_progress
    watch: Watch | None = None
    if args.live:
        progress, watch = _live()
    result = run_scenario(
        config, args.config, args.out, progress, _say_lacking if args.netns else None, Attached(args.qmp, watch)
    )
    from livemig.analysis.result import exit_code
    from livemig.analysis.text import verdict_text

    if args.json:
        import orjson

        print(orjson.dumps(result.as_dict()).decode())
    else:
        print(verdict_text(result, colour=sys.stdout.isatty()))
    if args.check_determinism:
        difference = run_again(config, Path(result.run_dir))
        print(f"determinism: {difference or 'both logs are byte-identical'}", file=sys.stderr)
        if difference:
            return 1
    return exit_code(result)


def _live() -> tuple[Progress, Watch]:
    """Instead of a line per pass."""
    from livemig.launch.monitor import beside

    return lambda side, event: None, beside
