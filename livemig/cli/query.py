"""``livemig query RUN_DIR… SQL``."""

from __future__ import annotations

import argparse
import atexit
import gc
from os.path import isdir
from pathlib import Path

_MOST_ROWS = 200
"""Of a table; the other formats print all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="what `livemig run --out` wrote")
    sql = parser.add_argument("sql", metavar="SQL", help="one SELECT, over the view `events`")
    sql.required = False  # not with nargs="?": the run directories would swallow it
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print one JSON object a row")
    formats.add_argument("--csv", action="store_true", help="print comma-separated values")
    formats.add_argument(
        "--parquet", type=Path, metavar="FILE", help="write the result there; without SQL, all the events"
    )


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.cli.extra import need
    from livemig.errors import UsageError

    need("query", "duckdb")
    from livemig.analysis.rows import as_csv, as_json, as_table
    from livemig.analysis.sql import opened

    atexit.register(gc.unfreeze)  # DuckDB complains of objects that are left at the end, and main leaves all
    if args.sql is not None and isdir(args.sql):
        args.runs, args.sql = [*args.runs, Path(args.sql)], None
    if args.sql is None and args.parquet is None:
        raise UsageError("query: needs a SELECT, such as 'SELECT event, count(*) FROM events GROUP BY event'")
    with opened(args.runs, args.parquet) as database:
        if args.parquet is not None:
            database.export(args.sql or "FROM events")
            return 0
        answer = database.select(args.sql)
        if args.json:
            lines = as_json(answer.columns, answer.rows)
        elif args.csv:
            lines = as_csv(answer.columns, answer.rows)
        else:
            lines = as_table(answer.columns, answer.rows, _MOST_ROWS)
        for line in lines:
            print(line)
    return 0
