"""``livemig compare CONFIG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from livemig.cli.options import add_config, add_engine, add_output, read_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from livemig.analysis.result import Result
    from livemig.config.model import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    add_engine(parser)
    parser.add_argument(
        "--qemu",
        dest="qemus",
        action="append",
        default=[],
        metavar="NAME=PLACE",
        help="with --engine qemu: one of the QEMUs to compare, an unpacked one's directory or a program",
    )
    parser.add_argument("--pairs", action="store_true", help="with --engine qemu: from each QEMU to each other too")
    parser.add_argument(
        "--over",
        metavar="SECTION.KEY=VALUE,VALUE…",
        help="in place of the strategies, compare values of a key: migration.convergence=static,stepped,ramp",
    )
    add_output(parser, "where the run directories go, one a strategy or value")
    parser.add_argument("--html", type=Path, metavar="FILE", help="show the strategies side by side in this page too")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.analysis.text import compare_table

    if args.over is not None:
        return _values(args)

    def announce(strategy: str) -> None:
        print(f"{strategy} …", file=sys.stderr)

    config = read_config(args)
    if args.html is not None:
        from livemig.analysis.report.comparison import compare_page
        from livemig.analysis.report.page import plotly_code, write

        plotly_code()  # If it is missing, better said before all those runs.
    results = _results(args, config, announce)
    if args.html is not None:
        write(args.html, compare_page(Path(args.config).stem, results))
    if args.json:
        import orjson

        strategies = {name: result.as_dict() for name, result in results.items()}
        print(orjson.dumps({"strategies": strategies}).decode())
    else:
        head = "QEMU: strategy" if config.engine.kind == "qemu" else "strategy"
        print(compare_table(results, colour=sys.stdout.isatty(), head=head))
    return 0


def _values(args: argparse.Namespace) -> int:
    """Compare values of one key."""
    from livemig.analysis.memory_text import compare_values
    from livemig.errors import UsageError
    from livemig.launch.scenario import run_all_values

    key, _, values = args.over.partition("=")
    each = list(dict.fromkeys(value.strip() for value in values.split(",")))
    if not key or len(each) < 2 or not all(each):
        raise UsageError(f"--over {args.over}: compares two values of a key at least (SECTION.KEY=VALUE,VALUE…)")
    if args.qemus or args.pairs or args.html is not None:
        raise UsageError("--over is without --qemu, --pairs and --html")
    configs = {value: read_config(args, f"{key}={value}") for value in each}
    results = run_all_values(configs, args.config, args.out, lambda value: print(f"{key}={value} …", file=sys.stderr))
    if args.json:
        import orjson

        print(orjson.dumps({"key": key, "values": {name: each.as_dict() for name, each in results.items()}}).decode())
    else:
        print(compare_values(results, key, colour=sys.stdout.isatty()))
    return 0


def _results(args: argparse.Namespace, config: Config, announce: Callable[[str], None]) -> dict[str, Result]:
    """By strategy, or, of real QEMUs, by version."""
    if config.engine.kind != "qemu":
        if args.qemus or args.pairs:
            from livemig.errors import UsageError

            raise UsageError("--qemu and --pairs are for --engine qemu")
        from livemig.launch.scenario import run_all_strategies

        return run_all_strategies(config, args.config, args.out, announce)
    from livemig.launch.qemu.versions import of_config, places, run_all_versions

    qemus = places(args.qemus) or of_config(config)
    return run_all_versions(config, args.config, qemus, args.pairs, args.out, announce)
