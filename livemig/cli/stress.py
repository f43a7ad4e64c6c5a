"""``livemig stress CONFIG``."""

from __future__ import annotations

import argparse
import atexit
import gc
import re
import signal
import sys
from pathlib import Path

from livemig.cli.extra import need
from livemig.cli.options import add_config
from livemig.errors import OutputError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    parser.add_argument("--runs", type=int, metavar="N", help="how many; 1000, or every cell of a grid once")
    parser.add_argument("--for", dest="duration", metavar="TIME", help="as many as there is time for: 30s, 30m, 2h")
    parser.add_argument("--strategy", action="append", default=[], metavar="NAME", help="by turns; else the file's")
    parser.add_argument(
        "--faults", default="promised", metavar="NAME,…",
        help="what is drawn: promised (to the strategy), all, none, or features by name",
    )  # fmt: skip
    parser.add_argument("--heal", action="store_true", help="faults of the link end, and then the migration must")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=FROM..TO:STEP", help="an axis of a map")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes; as many as there are CPUs")
    parser.add_argument("--dask", metavar="ADDRESS", help="run on the Dask cluster with this scheduler")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the results; stress-SEED.duckdb if not said")
    parser.add_argument("--resume", action="store_true", help="go on with a campaign that was interrupted")
    parser.add_argument("--shrink", type=int, default=200, metavar="N", help="runs to spend on shrinking each group")
    parser.add_argument("--save-regressions", type=Path, metavar="DIR", help="put the smallest failures here too")
    parser.add_argument(
        "--keep-failed", type=int, default=20, metavar="N", help="keep the logs of the first N failures of each group"
    )
    parser.add_argument("--keep-all", type=Path, metavar="DIR", help="keep the logs of every run, not of failures only")
    parser.add_argument("--until-failure", action="store_true", help="end with the first failure")
    parser.add_argument("--html", type=Path, metavar="FILE", help="maps, groups and stories as one page")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    need("stress", "duckdb", "tqdm")
    atexit.register(gc.unfreeze)  # DuckDB complains of objects that are left at the end, and main leaves all
    from livemig.stress.order import Order, carry_out
    from livemig.stress.summary import as_dict, as_text

    _check(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as by Ctrl-C: what is done is kept
    order = Order(
        file=args.config,
        overrides=[*args.overrides, *([f"run.clock={args.clock}"] if args.clock else [])],
        seed=1 if args.seed is None else args.seed,
        runs=args.runs,
        seconds=None if args.duration is None else _seconds(args.duration),
        strategies=args.strategy,
        faults=[] if args.faults == "none" else args.faults.split(","),
        grid=args.grid,
        jobs=args.jobs,
        dask=args.dask,
        out=args.out,
        resume=args.resume,
        shrink=args.shrink,
        regressions=args.save_regressions,
        keep_failed=args.keep_failed,
        keep_all=args.keep_all,
        heal=args.heal,
        until_failure=args.until_failure,
        wants_trials=args.html is not None,
    )
    if args.html is not None:
        from livemig.analysis.report.page import plotly_code, write
        from livemig.stress.page import stress_page

        plotly_code()  # if it is missing, better said before all those runs
    outcome = carry_out(order, sys.stderr)
    if args.html is not None:
        write(args.html, stress_page(outcome))
    if args.json:
        import orjson

        print(orjson.dumps(as_dict(outcome)).decode())
    else:
        print(as_text(outcome))
    if outcome.interrupted:
        return 130
    return 1 if outcome.groups else 0


def _check(args: argparse.Namespace) -> None:
    """What would otherwise be found out only when all is done."""
    for name, least in (("runs", 1), ("jobs", 1), ("shrink", 0), ("seed", 0), ("keep-failed", 0)):
        value = getattr(args, name.replace("-", "_"))
        if value is not None and value < least:
            raise UsageError(f"--{name}: {value} (allowed: {least} or more)")
    for directory in (args.save_regressions, args.keep_all):
        if directory is not None:
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(str(directory), error.strerror or str(error)) from error
    if args.html is not None and not args.html.absolute().parent.is_dir():
        raise OutputError(str(args.html), "its directory does not exist")


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,6})\s*(s|m|min|h)", text)
    if match is None:
        raise UsageError(f"--for: {text!r} is no time (allowed: a whole number of s, m or h, as in 30m)")
    return int(match[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600}[match[2]]
