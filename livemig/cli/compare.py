"""``livemig compare CONFIG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from livemig.cli.options import add_config, add_output, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    add_output(parser, "where the run directories go, one a strategy")
    parser.add_argument("--html", type=Path, metavar="FILE", help="show the strategies side by side in this page too")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.analysis.text import compare_table
    from livemig.launch.scenario import run_all_strategies

    def announce(strategy: str) -> None:
        print(f"{strategy} …", file=sys.stderr)

    config = read_config(args)
    if args.html is not None:
        from livemig.analysis.report.comparison import compare_page
        from livemig.analysis.report.page import plotly_code, write

        plotly_code()  # If it is missing, better said before all those runs.
    results = run_all_strategies(config, args.config, args.out, announce)
    if args.html is not None:
        write(args.html, compare_page(Path(args.config).stem, results))
    if args.json:
        import orjson

        strategies = {name: result.as_dict() for name, result in results.items()}
        print(orjson.dumps({"strategies": strategies}).decode())
    else:
        print(compare_table(results, colour=sys.stdout.isatty()))
    return 0
