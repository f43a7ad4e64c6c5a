"""`analyze`, `trace` and `query` on runs as `livemig run` leaves them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
from analysis.perfetto_rules import read

CONFIG = """
[run]
duration = "1s"
[machine]
cpus = 2
ram = "1MiB"
[guest]
kind = "darwin"
[guest.memory]
dirty_rate = "1MiB/s"
[migration]
start = "200ms"
downtime = "100ms"
"""


def livemig(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livemig", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: ``valid``, ``invalid`` (by its strategy) and ``stayed`` (too little bandwidth)."""
    directory = tmp_path_factory.mktemp("runs")
    config = directory / "small.toml"
    config.write_text(CONFIG)
    changes = {
        "valid": "migration.strategy=tb-offset",
        "invalid": "migration.strategy=none",
        "stayed": "link.bandwidth=1Mbit/s",
    }
    for name, change in changes.items():
        livemig("run", config, "--out", directory / name, "--set", change)
    return directory


def events(run: Path) -> list[dict[str, object]]:
    lines = [line for side in ("source", "destination") for line in (run / f"{side}.jsonl").open("rb")]
    return [orjson.loads(line) for line in lines]


# ── analyze ──


def test_analyze_says_what_run_said(runs: Path) -> None:
    for name, code, word in (("valid", 0, "VALID"), ("invalid", 1, "INVALID"), ("stayed", 3, None)):
        done = livemig("analyze", runs / name)
        assert done.returncode == code
        assert word is None or done.stdout.startswith(word)
        again = json.loads(livemig("analyze", runs / name, "--json").stdout)
        first = json.loads((runs / name / "run.json").read_text())["result"]
        assert again["checks"] == first["checks"]
        assert (again["verdict"], again["interrupts"]) == (first["verdict"], first["interrupts"])


@pytest.mark.parametrize(
    ("names", "code", "last"),
    [
        (("valid", "valid"), 0, "2 runs: 2 valid"),
        (("invalid", "valid"), 1, "2 runs: 1 valid, 1 invalid"),
        (("stayed", "invalid"), 3, None),
        (("stayed", "nowhere", "valid"), 2, None),
    ],
)
def test_the_worst_of_several_runs_is_the_exit_code_and_the_last_line_counts(
    runs: Path, names: tuple[str, ...], code: int, last: str | None
) -> None:
    done = livemig("analyze", *names, cwd=runs)
    assert done.returncode == code
    said = done.stdout.splitlines()[-1]
    assert said.startswith(f"{len(names)} runs: ")
    assert last in (None, said)


def test_a_run_that_cannot_be_read_is_one_line_and_the_others_are_judged(runs: Path) -> None:
    done = livemig("analyze", "nowhere", "valid", "--json", cwd=runs)
    assert done.stderr == "livemig: nowhere/run.json: no such file: not a run directory\n"
    assert [json.loads(line)["run_dir"] for line in done.stdout.splitlines()] == ["valid"]
    assert done.returncode == 2
    assert livemig("analyze", "valid", "nowhere", cwd=runs).stdout.endswith("2 runs: 1 valid, 1 unreadable\n")


def test_one_run_is_one_json_object_and_no_closing_line(runs: Path) -> None:
    assert livemig("analyze", runs / "valid", "--json").stdout.count("\n") == 1
    assert "1 runs" not in livemig("analyze", runs / "valid").stdout


def test_a_run_can_be_judged_by_the_other_policy(runs: Path) -> None:
    done = livemig("analyze", runs / "valid", "--time-policy", "freeze", "--json")
    assert json.loads(done.stdout)["checks"]["tb_continuous"]["verdict"] == "invalid"
    assert done.returncode == 1
    assert livemig("analyze", runs / "valid", "--time-policy", "advance").returncode == 0


# ── trace ──


def test_the_trace_has_every_interrupt_of_the_log_and_keeps_perfettos_rules(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.pftrace"
    assert livemig("trace", runs / "valid", "--out", out).stdout.startswith(str(out))
    timeline = read(out.read_bytes())
    logged = Counter(
        ((event["side"], f"cpu {event['cpu']}"), event["t_ns"])
        for event in events(runs / "valid")
        if event["event"] == "interrupt"
    )
    drawn = Counter((seen.track, seen.begin) for seen in timeline.instants if seen.name.endswith(" interrupt"))
    assert drawn == logged
    assert logged.total() > 100


def test_the_trace_shows_the_blackout_the_crossing_arms_and_the_tb_error(runs: Path, tmp_path: Path) -> None:
    judged = json.loads(livemig("analyze", runs / "valid", "--json").stdout)
    livemig("trace", runs / "valid", "--out", tmp_path / "valid")
    timeline = read((tmp_path / "valid").read_bytes())
    ((name, begin, end),) = timeline.on("blackout")
    assert (name, (end or 0) - begin) == ("blackout", judged["migration"]["blackout_ns"])
    assert [[seen.track[0] for seen in flow] for flow in timeline.flows.values()] == [
        ["source", "destination", "destination"]
    ] * 2  # one arm a CPU
    errors = {path: values for path, values in timeline.counters.items() if path[0] == "TB error"}
    assert [[error for _, error in values] for values in errors.values()] == [[0], [0]]

    livemig("trace", runs / "invalid", "--out", tmp_path / "invalid")
    (_, seen), *_ = reversed(read((tmp_path / "invalid").read_bytes()).counters["TB error", "TB error, cpu 0"])
    assert seen < 0


def test_a_trace_goes_into_the_run_directory_if_not_told_where(runs: Path) -> None:
    assert livemig("trace", "stayed", cwd=runs).stdout.startswith("stayed/trace.pftrace:")
    assert read((runs / "stayed" / "trace.pftrace").read_bytes()).on("blackout") == []


def test_a_trace_of_nothing_or_to_nowhere_is_one_line(runs: Path) -> None:
    for arguments in (("nowhere",), ("valid", "--out", "no/where")):
        done = livemig("trace", *arguments, cwd=runs)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


# ── query ──


def test_a_query_counts_what_is_in_the_logs(runs: Path) -> None:
    counts = Counter((event["side"], event["event"]) for event in events(runs / "valid"))
    sql = "SELECT side, event, count(*) AS n FROM events GROUP BY ALL"
    rows = [json.loads(line) for line in livemig("query", runs / "valid", sql, "--json").stdout.splitlines()]
    assert {(row["side"], row["event"]): row["n"] for row in rows} == counts
    table = list(csv.reader(io.StringIO(livemig("query", runs / "valid", "--csv", sql).stdout)))
    assert table[0] == ["side", "event", "n"]
    assert {(side, event): int(n) for side, event, n in table[1:]} == counts


def test_a_query_over_several_runs_tells_them_apart(runs: Path) -> None:
    sql = "SELECT run, max(late_ns) > 50000000 AS late FROM events GROUP BY run ORDER BY run"
    done = livemig("query", "stayed", "valid", sql, cwd=runs)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "late"], ["stayed", "False"], ["valid", "True"], ["(2", "rows)"],
    ]  # fmt: skip


def test_a_query_may_be_long(runs: Path) -> None:
    """Longer than a file name can be: it must not be taken for one."""
    done = livemig("query", runs / "valid", f"SELECT {' + '.join(['1'] * 500)} AS n")
    assert done.stdout.splitlines()[1] == "500"


def test_parquet_without_sql_is_all_the_events(runs: Path, tmp_path: Path) -> None:
    import duckdb

    out = tmp_path / "events.parquet"
    assert livemig("query", "valid", "invalid", "--parquet", out, cwd=runs).returncode == 0
    exported = duckdb.connect().execute(f"SELECT run, count(*) FROM '{out}' GROUP BY 1 ORDER BY 1").fetchall()
    assert exported == [(name, len(events(runs / name))) for name in ("invalid", "valid")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("valid", "SELEC 1"), "livemig: query: Parser Error: syntax error"),
        (("valid", "DROP VIEW events"), "livemig: query: one SELECT is needed"),
        (("valid",), "livemig: query: needs a SELECT"),
        (("valid", "invalid"), "livemig: query: needs a SELECT"),
        (("nowhere", "SELECT 1"), "livemig: nowhere: not a run directory"),
    ],
)
def test_a_wrong_query_is_one_line_and_exit_code_2(runs: Path, arguments: tuple[str, ...], said: str) -> None:
    done = livemig("query", *arguments, cwd=runs)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


# ── extras ──


@pytest.mark.parametrize(("command", "package"), [("query", "duckdb"), ("trace", "perfetto")])
def test_a_missing_extra_is_one_line_that_says_what_to_install(runs: Path, command: str, package: str) -> None:
    hide = f"import sys; sys.modules['{package}'] = None; from livemig.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", hide, command, str(runs / "valid"), *(["SELECT 1"] if command == "query" else [])],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"livemig: {command} needs {package}: pip install 'livemig[{command}]'\n"
