"""``livemig trace RUN_DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what `livemig run --out` wrote")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the trace; RUN_DIR/trace.pftrace if not given")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.cli.extra import need

    need("trace", "perfetto")
    from livemig.analysis.perfetto.export import export

    out = args.out or args.run_dir / "trace.pftrace"
    export(args.run_dir, out)
    print(f"{out}: open it at https://ui.perfetto.dev")
    return 0
