"""SQL over the events of one or many runs, by DuckDB: the logs are read as the query goes, never loaded.

The view ``events`` has one row a line of ``source.jsonl`` and ``destination.jsonl``: ``run`` (the run directory),
``file``, ``line``, and a column for every key of the event schema. ``decr`` is of one CPU there; where the log has a
list, one entry a CPU, it is in ``cpu_decr``. The view ``twin`` is the same of ``twin.jsonl``.

Whoever asks can only read, and nothing but the logs: DuckDB is locked before it sees their SQL.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from livemig.analysis.log import Log, malformed
from livemig.errors import InputError, OutputError, UsageError
from livemig.events.schema import EVENTS

_TYPES: Final = {
    "VARCHAR": "side event timer cause reason state status strategy ram_digest kind command fault on answer what",
    "UBIGINT": "tb value tb_before tb_after",
    "UBIGINT[]": "cpu_tb",
    "BIGINT[]": "decr_before decr_after vcpu_blocktime_ns",
    "VARCHAR[]": "lost",
    "VARCHAR[][]": "pending",
    "HUGEINT": "low high found",
    "BOOLEAN": "requested",
    "JSON": "decr host saved barriers",
}
"""By SQL type the keys of the schema that have it; all others are BIGINT. ``decr`` is two columns in the view."""

_BATCH = 1000
_VIEWS = {"events": ("source.jsonl", "destination.jsonl"), "twin": ("twin.jsonl",)}
_SETTINGS: dict[str, Any] = {
    "memory_limit": "1GB",  # what a query needs beyond goes to a temporary file
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # else SQL could read our variables
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a query: ``rows`` are read as they are asked for."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def opened(run_dirs: Sequence[Path], export: Path | None = None) -> Iterator[Database]:
    """The events of ``run_dirs``, open for queries; ``export``: the file that `Database.export` is to write.

    Raises:
        InputError: one of them is not a run directory, or a log that breaks off is malformed besides.
        OutputError: ``export`` cannot be written.
    """
    with ExitStack() as open_:
        scratch = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="livemig-query-")))
        exporting = None if export is None else open_.enter_context(_Export.prepared(export))
        connection = duckdb.connect(config={**_SETTINGS, "temp_directory": str(scratch / "spilled")})
        open_.callback(connection.close)
        logs = _define_views(connection, run_dirs, scratch)
        _lock(connection, [*logs, *(str(path.resolve()) for path in logs.values())], exporting)
        yield Database(connection, logs, exporting)


@dataclass(frozen=True, slots=True)
class _Export:
    """A file that is written beside its place, in a directory of its own, and put there once it is whole."""

    path: Path
    beside: Path

    @classmethod
    @contextmanager
    def prepared(cls, path: Path) -> Iterator[_Export]:
        try:
            with tempfile.TemporaryDirectory(prefix=".livemig-", dir=path.parent.resolve()) as beside:
                yield cls(path, Path(beside))
        except OSError as error:
            raise OutputError(str(path), error.strerror or str(error)) from None

    def write(self, result: duckdb.DuckDBPyRelation) -> None:
        unfinished = self.beside / "result.parquet"
        result.write_parquet(str(unfinished))
        os.replace(unfinished, self.path)


class Database:
    """Runs' events. ``logs``: the files, by the names that DuckDB knows them by."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, logs: dict[str, Path], exporting: _Export | None) -> None:
        self._connection, self._logs, self._exporting = connection, logs, exporting

    def select(self, sql: str) -> Answer:
        """Ask.

        Raises:
            UsageError: ``sql`` is not one SELECT, or wrong; also while the rows are read.
            InputError: a log is malformed; also while the rows are read.
        """
        with self._in_one_line():
            self._connection.execute(_only_select(sql))
            return Answer([column[0] for column in self._connection.description or ()], self._rows())

    def export(self, sql: str = "FROM events") -> None:
        """Write what ``sql`` gives to the file that is to be exported, as Parquet, whole or not at all.

        Raises:
            UsageError, InputError: as `select` does.
            OSError: it cannot be written; `opened` makes an OutputError of it.
        """
        assert self._exporting is not None
        with self._in_one_line():
            self._exporting.write(self._connection.sql(_only_select(sql)))

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        with self._in_one_line():
            while rows := self._connection.fetchmany(_BATCH):
                yield from rows

    @contextmanager
    def _in_one_line(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            said = " ".join(str(error).split("\n\n")[0].split())
            for name, path in self._logs.items():
                if name in str(error):
                    raise _first_problem(path) or InputError(str(path), said) from None
            raise UsageError(f"query: {said}") from None


def _only_select(sql: str) -> duckdb.Statement:
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("query: one SELECT is needed; the events can be read, not changed")
    return statements[0]


def _define_views(connection: duckdb.DuckDBPyConnection, run_dirs: Sequence[Path], scratch: Path) -> dict[str, Path]:
    """Define the views; gives the logs by the name of a link to each: a path of ours is no glob, as theirs may be."""
    logs: dict[str, Path] = {}
    for view, names in _VIEWS.items():
        parts = [f"SELECT {_columns()} FROM ({_nothing()})"]
        for run in run_dirs:
            if not (run / "source.jsonl").exists():
                raise InputError(str(run), "not a run directory: no source.jsonl in it")
            for path in filter(Path.exists, (run / name for name in names)):
                link = scratch / f"{len(logs)}.jsonl"
                link.symlink_to(path.resolve())
                logs[str(link)] = path
                parts.append(f"SELECT {_columns()} FROM ({_lines(run, path, link)})")
        connection.execute(f"CREATE VIEW {view} AS {' UNION ALL '.join(parts)}")
    return logs


def _keys() -> dict[str, str]:
    """Every key of the schema, in its order, and its SQL type in the log."""
    types = {key: kind for kind, keys in _TYPES.items() for key in keys.split()}
    keys = ["t_ns", "side", "event", *(key for event in EVENTS.values() for key in event)]
    return {key: types.get(key, "BIGINT") for key in keys}


def _columns() -> str:
    columns = [f'"{key}"' for key in ("run", "file", "line", *_keys())]
    either = "TRY_CAST(decr AS BIGINT) AS decr, TRY_CAST(decr AS BIGINT[]) AS cpu_decr"
    return ", ".join(either if column == '"decr"' else column for column in columns)


def _nothing() -> str:
    """No row, but of the right types: what a view has where there is no log."""
    kinds = {"run": "VARCHAR", "file": "VARCHAR", "line": "BIGINT", **_keys()}
    return "SELECT " + ", ".join(f'NULL::{kind} AS "{key}"' for key, kind in kinds.items()) + " LIMIT 0"


def _lines(run: Path, path: Path, link: Path) -> str:
    broken_off = _breaks_off(path)
    if broken_off and (problem := _first_problem(path)):  # DuckDB will overlook what is malformed in this file
        raise problem
    keys = ", ".join(f"'{key}': '{kind}'" for key, kind in _keys().items())
    return (
        f"SELECT {_quoted(run)} AS run, {_quoted(path.name)} AS file, row_number() OVER () AS line, *"
        f" FROM read_json({_quoted(link)}, format='newline_delimited', columns={{{keys}}}, ignore_errors={broken_off})"
        + (" QUALIFY event IS NOT NULL" if broken_off else "")
    )


def _breaks_off(path: Path) -> bool:
    """Whether the last line is not whole: its writer died."""
    with path.open("rb") as log:
        if log.seek(0, os.SEEK_END) == 0:
            return False
        log.seek(-1, os.SEEK_END)
        return log.read() != b"\n"


def _lock(connection: duckdb.DuckDBPyConnection, files: Sequence[str], export: _Export | None) -> None:
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, files))}]")
    if export is not None:
        connection.execute("SET preserve_insertion_order = false")  # else what is written later waits in memory
        connection.execute(f"SET allowed_directories = [{_quoted(export.beside)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _first_problem(path: Path) -> InputError | None:
    """Where a log is malformed, other than by its end, in our words."""
    with path.open("rb") as lines:
        try:
            for event, (_, line) in Log(str(path), None, lines):
                if problem := malformed(event):
                    return InputError(str(path), problem, line)
        except InputError as error:
            return error
    return None


def _quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"
