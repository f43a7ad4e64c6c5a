"""The log: what is written one by one through structlog and what is written as blocks are the same schema and bytes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import orjson
import pytest
from pure_pair import run_pure

from livemig.config.model import Config
from livemig.errors import OutputError
from livemig.events.kept import KeptLog
from livemig.events.lines import Lines
from livemig.events.log import EventLog
from livemig.events.schema import EVENTS

MASKED = Config.model_validate(
    {
        "run": {"duration": "300ms"},
        "machine": {"cpus": 3, "ram": "1MiB"},
        "guest": {
            "kind": "linux",
            "masked_every": "7ms",
            "masked_for": "5ms",
            "handler_time": "50us",
            "linux": {"tick": "1ms"},
        },
        "migration": {"start": "100ms", "downtime": "20ms"},
    }
)
LOGS = ("source.jsonl", "destination.jsonl")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    out = tmp_path_factory.mktemp("logs")
    run_pure(MASKED, out)
    return {name: (out / name).read_bytes().splitlines(keepends=True) for name in LOGS}


def test_every_line_has_exactly_the_keys_of_the_schema_in_its_order(lines: dict[str, list[bytes]]) -> None:
    seen = set()
    for name in LOGS:
        for line in lines[name]:
            event = orjson.loads(line)
            seen.add(event["event"])
            keys = ["t_ns", "side", "event", *EVENTS[event["event"]]]
            if event["event"] in ("interrupt_masked", "interrupt_coalesced"):
                assert event["reason"]
            assert list(event) == keys
    assert seen == {
        "timer_armed", "interrupt", "interrupt_masked", "machine_stopped", "machine_resumed", "migration_state",
        "migration_pass", "switchover", "state_saved", "state_restored", "run_ended",
    }  # fmt: skip


def test_a_block_has_the_bytes_that_structlog_would_have_written(lines: dict[str, list[bytes]], tmp_path: Path) -> None:
    for name in LOGS:
        log = EventLog(tmp_path / name, name.removesuffix(".jsonl"))
        for line in lines[name]:
            event = orjson.loads(line)
            del event["side"]
            log.event(event.pop("t_ns"), event.pop("event"), **event)
        log.close()
        assert (tmp_path / name).read_bytes() == b"".join(lines[name])


def test_a_log_is_in_the_order_of_time_then_cpu(lines: dict[str, list[bytes]]) -> None:
    for name in LOGS:
        keys = [(e["t_ns"], e.get("cpu", -1)) for e in map(orjson.loads, lines[name])]
        assert [t for t, _ in keys] == sorted(t for t, _ in keys)
        for (t, cpu), (later, other) in itertools.pairwise(keys):
            if t == later and -1 not in (cpu, other):
                assert cpu <= other


def test_an_event_that_the_schema_has_not_is_not_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", "source")
    with pytest.raises(KeyError):
        log.event(0, "weather", sunny=True)
    with pytest.raises(KeyError, match="run_ended"):
        log.event(0, "run_ended", reason="x", more=1)
    log.close()
    assert (tmp_path / "log").read_bytes() == b""


def test_a_log_that_is_kept_is_held_to_the_schema_and_printed_as_one_that_is_written(tmp_path: Path) -> None:
    tables = [Lines((("t_ns", np.array([3, 9])), ("side", "source"), ("event", "interrupt"), ("cpu", 1)), np.arange(2))]
    kept, written = KeptLog("source"), EventLog(tmp_path / "source.jsonl", "source")
    for log in (kept, written):
        with pytest.raises(KeyError, match="run_ended"):
            log.event(0, "run_ended", reason="x", more=1)
        log.block([])
        log.event(2, "operator", command="stop")
        log.block(tables)
        log.event(9, "run_ended", reason="duration")
        log.close()
    assert kept.path.name == "source.jsonl"
    assert kept.entries.text() == (tmp_path / "source.jsonl").read_bytes()
    assert kept.entries.text().count(b"\n") == 4
    assert list(tables[0].events()) == [orjson.loads(line) for line in kept.entries.text().splitlines()[1:3]]


def test_a_log_does_not_write_over_another(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("precious")
    with pytest.raises(OutputError, match="File exists"):
        EventLog(tmp_path / "log", "source")
    assert (tmp_path / "log").read_text() == "precious"
