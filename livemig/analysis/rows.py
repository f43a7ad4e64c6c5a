"""Rows of a query's result as text, line by line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from math import isfinite
from typing import Any

from livemig.analysis.table import table
from livemig.errors import UsageError

Rows = Iterable[tuple[Any, ...]]


def as_table(columns: Sequence[str], rows: Rows, most: int) -> Iterator[str]:
    """Aligned columns of the first ``most`` rows, and a line that says how many there are."""
    rest = iter(rows)
    shown = list(islice(rest, most))
    cells = [[_cell(value) for value in row] for row in shown]
    texts = [n for n in range(len(columns)) if any(isinstance(row[n], str | list | dict) for row in shown)]
    yield from table([columns, *cells], left=texts, indent=0)
    more = sum(1 for _ in rest)
    count = len(shown) + more
    yield f"({count:,} {'row' if count == 1 else 'rows'}{f', the first {most:,} shown' if more else ''})"


def as_csv(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """RFC 4180 but for the line ends, with a header; lists and objects are JSON, NULL is empty."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")  # it quotes what is in it
    for row in chain([columns], rows):
        writer.writerow(map(_cell, row))
        yield line.getvalue()[:-2]
        line.seek(0)
        line.truncate()


def as_json(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """One object a row; integers of any size stay integers, a number that is none (NaN) is null.

    Raises:
        UsageError: two columns have one name.
    """
    if len(set(columns)) < len(columns):
        raise UsageError(f"query: two columns have one name ({', '.join(columns)}): name them with AS")
    for row in rows:
        values = (None if isinstance(value, float) and not isfinite(value) else value for value in row)
        yield json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False, default=str)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
