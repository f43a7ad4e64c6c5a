"""``livemig analyze RUN_DIR…``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from livemig.cli.options import time_policy

SEVERITY = (0, 1, 3, 2)
"""Exit codes of single runs, the worst last: that of several runs is the worst among them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="what `livemig run --out` wrote")
    parser.add_argument(
        "--time-policy",
        type=time_policy,
        help="judge by it, whatever the run asked for: over the blackout guest time goes on with the world (advance), "
        "stands still (freeze), or goes on for so long (advance-at-most:TIME)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a run, one a line")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    words: Counter[str] = Counter()
    worst = 0
    for directory in args.runs:
        word, code = _analyze(directory, args)
        words[word] += 1
        worst = max(worst, code, key=SEVERITY.index)
    if len(args.runs) > 1 and not args.json:
        kinds = ("valid", "invalid", "unknown", "unreadable")
        counts = ", ".join(f"{words[kind]} {kind}" for kind in kinds if words[kind])
        print(f"{len(args.runs)} runs: {counts}")
    return worst


def _analyze(directory: Path, args: argparse.Namespace) -> tuple[str, int]:
    """Judge one run and print it; gives its verdict and its exit code."""
    import orjson

    from livemig.analysis.judge import judge
    from livemig.analysis.result import exit_code
    from livemig.analysis.text import verdict_text
    from livemig.errors import InputError

    try:
        result = judge(directory, *(args.time_policy or ()))
    except InputError as error:
        print(f"livemig: {error}", file=sys.stderr)
        return "unreadable", error.exit_code
    if args.json:
        print(orjson.dumps(result.as_dict()).decode(), flush=True)
    else:
        print(verdict_text(result, colour=sys.stdout.isatty()), flush=True)
    return result.verdict, exit_code(result)
