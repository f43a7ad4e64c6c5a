"""The results of a campaign in one DuckDB file: what was asked for, and a row a run.

It is written as the campaign goes, so that an interrupted one can be resumed, and read with SQL by whoever likes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from livemig.errors import OutputError, UsageError
from livemig.stress.plan import Plan
from livemig.stress.trial import Trial

_COLUMNS: Final = {
    "number": "BIGINT PRIMARY KEY",
    "settings": "VARCHAR",
    "strategy": "VARCHAR",
    "verdict": "VARCHAR",
    "failed": "VARCHAR",
    "status": "VARCHAR",
    "owner": "VARCHAR",
    "reason": "VARCHAR",
    "lost": "BIGINT",
    "late": "BIGINT",
    "doubled": "BIGINT",
    "early": "BIGINT",
    "worst_late_ns": "BIGINT",
    "error_ticks": "VARCHAR",
    "blackout_ns": "BIGINT",
    "run_us": "BIGINT",
    "judge_us": "BIGINT",
}
"""``failed``: names of checks, separated by blanks; ``settings``: JSON; ``error_ticks``: any 64-bit number, signed."""

_FORMAT: Final = 1


class Store:
    """An open file. A context manager.

    Args:
        path: made, unless it is there and ``resume`` is true.

    Raises:
        OutputError: it cannot be written, or is there and not to be resumed.
        UsageError: it is another campaign than ``plan``.
    """

    def __init__(self, path: Path, plan: Plan, resume: bool) -> None:
        import duckdb

        if path.exists() and not resume:
            raise OutputError(str(path), "exists; --resume goes on with it")
        try:
            self._db = duckdb.connect(str(path))
            self._db.execute(f"CREATE TABLE IF NOT EXISTS runs ({', '.join(map(' '.join, _COLUMNS.items()))})")
            self._db.execute("CREATE TABLE IF NOT EXISTS campaign (key VARCHAR PRIMARY KEY, value VARCHAR)")
        except duckdb.Error as error:
            problem = str(error).splitlines()[0]
            if holder := re.search(r"Conflicting lock is held in .*\(PID (\d+)\)", problem):
                problem = f"another campaign is writing it, process {holder[1]}"
            else:
                problem = f"not to be opened as a campaign: {problem}"
            raise OutputError(str(path), problem) from None
        self.path = path
        self._begin(plan)

    def _begin(self, plan: Plan) -> None:
        ours = {
            "format": _FORMAT, "file": plan.file, "base": plan.base, "seed": plan.seed, "strategies": plan.strategies,
            "faults": plan.faults, "cells": plan.cells, "heal": plan.heal,
        }  # fmt: skip
        text = {key: json.dumps(value, default=str, sort_keys=True) for key, value in ours.items()}
        known = dict(self._db.execute("SELECT key, value FROM campaign").fetchall())
        if not known:
            self._db.executemany("INSERT INTO campaign VALUES (?, ?)", list(text.items()))
        for key, value in text.items():
            if known and known.get(key) != value:
                raise UsageError(f"{self.path}: is another campaign: {key} was {known.get(key)}, now it is {value}")

    def add(self, trials: Sequence[Trial]) -> None:
        """Put them in, all or none; those that are in stay as they are.

        Raises:
            OutputError: they cannot be written. KeyboardInterrupt: on Ctrl-C, also where DuckDB is the one to notice.
        """
        import duckdb

        try:
            places = f"({', '.join('?' * len(_COLUMNS))})"
            rows = ", ".join([places] * len(trials))  # one statement of many rows: executemany takes twice as long
            values = [value for trial in trials for value in _row(trial)]
            self._db.execute(f"INSERT OR IGNORE INTO runs VALUES {rows}", values)
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise OutputError(str(self.path), str(error).splitlines()[0]) from None

    def done(self) -> set[int]:
        """The numbers that are in."""
        return {number for (number,) in self._db.execute("SELECT number FROM runs").fetchall()}

    def totals(self) -> tuple[int, int, float]:
        """How many runs there are, how many of them failed, and the share of a run's time that was emulation."""
        row = self._db.execute(
            "SELECT count(*), count(*) FILTER (failed <> ''), sum(run_us) / nullif(sum(run_us + judge_us), 0) FROM runs"
        ).fetchone()
        assert row is not None
        return row[0], row[1], row[2] or 0.0

    def trials(self, where: str = "TRUE") -> Iterator[Trial]:
        """Those for which the condition ``where``, SQL, holds, by number."""
        names = ", ".join(_COLUMNS)
        cursor = self._db.execute(f"SELECT {names} FROM runs WHERE {where} ORDER BY number")
        while rows := cursor.fetchmany(1000):
            yield from (_trial(dict(zip(_COLUMNS, row, strict=True))) for row in rows)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()


def _row(trial: Trial) -> list[Any]:
    values = {name: getattr(trial, name) for name in _COLUMNS}
    values["settings"] = json.dumps(trial.settings)
    values["failed"] = " ".join(trial.failed)
    values["error_ticks"] = str(trial.error_ticks)
    return list(values.values())


def _trial(row: dict[str, Any]) -> Trial:
    row["settings"] = json.loads(row["settings"])
    row["failed"] = tuple(row["failed"].split())
    row["error_ticks"] = int(row["error_ticks"])
    return Trial(**row)

