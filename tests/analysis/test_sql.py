"""SQL over the events: what it sees, exactly; and that it can do nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from livemig.analysis.sql import opened
from livemig.config.load import validated
from livemig.errors import InputError, OutputError, UsageError
from livemig.events.schema import EVENTS
from livemig.launch.in_process import run_in_memory

from .histories import Event, arm, irq, resume, stop

SIGNED, UNSIGNED = "BIGINT", "UBIGINT"
EVENT_LIST = [arm(0, 100, tb=(1 << 64) - 1), irq(100, decr=-1), stop(200, decr=[-3, 4]), resume(250)]


def stored(run: Path, events: Sequence[Event] = EVENT_LIST, tail: bytes = b"") -> Path:
    """A run directory with these events; ``tail`` is written after those of the source."""
    run.mkdir(parents=True)
    for side in ("source", "destination"):
        lines = [orjson.dumps(event) + b"\n" for event in events if event["side"] == side]
        if lines or side == "source":
            (run / f"{side}.jsonl").write_bytes(b"".join(lines) + (tail if side == "source" else b""))
    return run


def asked(sql: str, *runs: Path) -> list[tuple[Any, ...]]:
    with opened(runs) as database:
        return list(database.select(sql).rows)


def test_every_key_of_the_schema_is_a_typed_column(tmp_path: Path) -> None:
    types = {row[0]: row[1] for row in asked("DESCRIBE events", stored(tmp_path / "run"))}
    assert types.keys() >= {key for keys in EVENTS.values() for key in keys}
    assert list(types)[:6] == ["run", "file", "line", "t_ns", "side", "event"]
    assert (types["tb"], types["t_ns"], types["decr"]) == (UNSIGNED, SIGNED, SIGNED)
    assert (types["cpu_tb"], types["cpu_decr"], types["pending"]) == ("UBIGINT[]", "BIGINT[]", "VARCHAR[][]")
    texts = {"run", "file", "side", "event", "timer", "cause", "reason", "state", "status", "strategy", "ram_digest",
             "kind", "command", "fault", "on", "answer", "what"}  # fmt: skip
    assert {name for name, kind in types.items() if kind == "VARCHAR"} == texts
    assert {name for name, kind in types.items() if kind == "JSON"} == {"host", "saved", "barriers"}


EVENTFUL: dict[str, Any] = {
    "run": {"duration": "1s"},
    "machine": {"ram": "1MiB"},
    "guest": {"kind": "periodic", "memory": {"dirty_rate": "8MiB/s", "filled_percent": 100}},
    "migration": {"start": "200ms", "downtime": "20ms", "postcopy_ram": True},
    "link": {"bandwidth": "20Mbit/s"},
    "fault": {
        "clock_step": {"enabled": True, "at": "50ms"},
        "pause": {"enabled": True, "at": "100ms"},
        "duplicate": {"enabled": True, "at": "250ms"},
    },
}
EXPECTANT = {"guest": {"kind": "script", "script": {"lines": "decr = 100\nwait 10us\nexpect decr 1\n"}}}


def test_every_value_of_every_event_of_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = set()
    for number, tables in enumerate((EVENTFUL, EXPECTANT)):
        run = tmp_path / str(number)
        run.mkdir()
        written: list[tuple[str, Event]] = []
        for name, lines in run_in_memory(validated(tables, "t.toml"))[1].items():
            (run / name).write_bytes(lines)
            written += [(name, orjson.loads(line)) for line in lines.splitlines()]
        found |= {event["event"] for _, event in written}
        rows = asked("SELECT * FROM events ORDER BY file DESC, line", run)
        columns = [row[0] for row in asked("DESCRIBE events", run)]
        assert len(rows) == len(written)
        for (name, event), row in zip(written, rows, strict=True):
            read = dict(zip(columns, row, strict=True))
            assert read["file"] == name
            for key, value in event.items():
                column = "cpu_decr" if key == "decr" and isinstance(value, list) else key
                seen = orjson.loads(read[column]) if isinstance(value, dict) else read[column]
                assert (type(seen), seen) == (type(value), value), (event["event"], key)
    assert found >= {
        "guest_expected", "postcopy_fault", "page_arrived", "postcopy_ended", "second_source", "host_stopped",
        "host_continued", "fault_injected", "state_saved", "state_restored", "migration_pass", "machine_stopped",
    }  # fmt: skip


def test_values_are_exact(tmp_path: Path) -> None:
    run = stored(tmp_path / "run")
    assert asked("SELECT tb, value, deadline_ns FROM events WHERE event = 'timer_armed'", run) == [
        ((1 << 64) - 1, 100, 100)
    ]
    assert asked("SELECT decr, cpu_decr FROM events WHERE line > 1 AND side = 'source' ORDER BY line", run) == [
        (-1, None),
        (None, [-3, 4]),
    ]


def test_a_row_knows_its_run_file_and_line(tmp_path: Path) -> None:
    one, other = stored(tmp_path / "one"), stored(tmp_path / "other", EVENT_LIST[:1])
    assert asked("SELECT run, file, line, event FROM events ORDER BY ALL", one, other) == [
        (str(one), "destination.jsonl", 1, "machine_resumed"),
        (str(one), "source.jsonl", 1, "timer_armed"),
        (str(one), "source.jsonl", 2, "interrupt"),
        (str(one), "source.jsonl", 3, "machine_stopped"),
        (str(other), "source.jsonl", 1, "timer_armed"),
    ]


def test_lines_are_counted_right_where_the_file_is_read_in_parallel(tmp_path: Path) -> None:
    run, out = stored(tmp_path / "run", [arm(number, 1) for number in range(1, 150_001)]), tmp_path / "out.parquet"
    right = "SELECT count(*) FROM {} WHERE line = t_ns"
    assert asked(right.format("events"), run) == [(150_000,)]
    with opened([run], out) as database:
        database.export()
    assert duckdb.connect().execute(right.format(f"'{out}'")).fetchall() == [(150_000,)]


def test_the_twin_is_a_view_of_its_own(tmp_path: Path) -> None:
    run = stored(tmp_path / "run")
    assert asked("FROM twin", run) == []
    (run / "twin.jsonl").write_bytes(orjson.dumps(arm(7, 1)))
    assert asked("SELECT file, t_ns FROM twin", run) == [("twin.jsonl", 7)]
    assert asked("SELECT count(*) FROM events", run) == [(4,)]


def test_a_log_without_a_line_has_no_rows(tmp_path: Path) -> None:
    assert asked("FROM events", stored(tmp_path / "run", [])) == []


@pytest.mark.parametrize("name", ["it's", "run?", "[r]uns", "*"])
def test_a_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    """And is no pattern: the directory beside it is not read."""
    run = stored(tmp_path / name)
    stored(tmp_path / "runs")
    assert asked("SELECT run, count(*) FROM events GROUP BY run", run) == [(str(run), 4)]


def test_a_log_whose_writer_died_ends_with_the_line_before(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", tail=b'{"t_ns": 300, "si')
    assert asked("SELECT max(line), max(t_ns) FROM events WHERE side = 'source'", run) == [(3, 200)]


@pytest.mark.parametrize("end", [b"", b'{"t_ns": 9'])
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{nonsense}\n", "not JSON"),
        (orjson.dumps(irq(500, cpu="x")) + b"\n", "interrupt: cpu is 'x'"),  # type: ignore[arg-type]
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: bytes, problem: str, end: bytes) -> None:
    run = stored(tmp_path / "run", tail=line + orjson.dumps(irq(600)) + b"\n" + end)
    with pytest.raises(InputError, match=problem) as caught:
        asked("FROM events", run)
    assert (caught.value.path, caught.value.line) == (str(run / "source.jsonl"), 4)


def test_what_is_no_run_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run directory"):
        asked("SELECT 1", tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "COPY events TO 'stolen.csv'",
        "CREATE TABLE mine AS FROM events",
        "INSERT INTO events VALUES (1)",
        "DROP VIEW events",
        "SET threads = 1",
        "ATTACH 'other.db'",
        "INSTALL httpfs",
        "PRAGMA database_list",
    ],
)
def test_only_a_select_is_carried_out(tmp_path: Path, sql: str) -> None:
    with pytest.raises(UsageError, match=r"^query: one SELECT is needed"):
        asked(sql, stored(tmp_path / "run"))


def test_a_select_reads_no_file_but_the_logs(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    run = stored(tmp_path / "run")
    for source in (f"read_csv('{secret}')", f"read_text('{secret}')", f"'{secret}'", f"glob('{tmp_path}/*')"):
        with pytest.raises(UsageError, match=r"^query: .*(disabled|not exist)"):
            asked(f"SELECT * FROM {source}", run)
        with pytest.raises(UsageError), opened([run], tmp_path / "out.parquet") as database:
            database.export(f"SELECT * FROM {source}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "secret.csv"]


def test_duckdb_is_locked_before_it_sees_the_sql(tmp_path: Path) -> None:
    """``python_enable_replacements``: a table could be a variable of ours."""
    names = ["enable_external_access", "lock_configuration", "python_enable_replacements", "autoload_known_extensions"]
    settings = ", ".join(f"current_setting('{name}')" for name in names)
    assert asked(f"SELECT {settings}", stored(tmp_path / "run")) == [(False, True, False, False)]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "query: Parser Error: syntax error at or near"),
        ("SELECT nothing FROM events", "query: Binder Error: Referenced column"),
        ("SELECT CAST(event AS INTEGER) FROM events", "query: Conversion Error"),
    ],
)
def test_an_error_in_the_sql_is_one_line(tmp_path: Path, sql: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(sql, stored(tmp_path / "run"))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_parquet_holds_what_the_logs_hold(tmp_path: Path) -> None:
    run, out = stored(tmp_path / "run"), tmp_path / "events.parquet"
    with opened([run], out) as database:
        database.export()
    columns = "file, line, t_ns, tb, decr, cpu_decr"
    exported = duckdb.connect().execute(f"SELECT {columns} FROM '{out}' ORDER BY ALL").fetchall()
    assert exported == asked(f"SELECT {columns} FROM events ORDER BY ALL", run)
    assert len(exported) == 4


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    run, out = stored(tmp_path / "run"), tmp_path / "events.parquet"
    out.write_bytes(b"before")
    with pytest.raises(UsageError), opened([run], out) as database:
        database.export("SELECT CAST(event AS INTEGER) FROM events")
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.parquet", "run"]


def test_an_export_to_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"), opened([stored(tmp_path / "run")], tmp_path / "no" / "x"):
        pass
