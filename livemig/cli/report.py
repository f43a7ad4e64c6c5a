"""``livemig report RUN_DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what `livemig run` left")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the HTML file (RUN_DIR/report.html)")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.analysis.report.page import write
    from livemig.analysis.report.run_page import run_page

    out = args.out or args.run_dir / "report.html"
    write(out, run_page(args.run_dir))
    print(out)
    return 0
