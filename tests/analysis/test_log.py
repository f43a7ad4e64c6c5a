"""Reading and merging logs."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.log import Log, malformed, merged
from livemig.errors import InputError

from .histories import arm, irq, resume

TIMES = st.lists(st.integers(0, 20)).map(sorted)


def lines(side: str, times: list[int]) -> list[bytes]:
    return [orjson.dumps({"t_ns": t, "side": side, "event": "x"}) + b"\n" for t in times]


@given(TIMES, TIMES)
def test_merged_by_time_then_source_first_then_line(source: list[int], destination: list[int]) -> None:
    history = merged(
        Log("source.jsonl", "source", lines("source", source)),
        Log("destination.jsonl", "destination", lines("destination", destination)),
    )
    got = [(event["t_ns"], event["side"], line) for event, (_, line) in history]
    expected = [(t, 0, line) for line, t in enumerate(source, 1)]
    expected += [(t, 1, line) for line, t in enumerate(destination, 1)]
    assert got == [(t, ("source", "destination")[rank], line) for t, rank, line in sorted(expected)]


def test_an_event_keeps_its_file_and_line_and_the_log_its_end() -> None:
    log = Log("/some/where/source.jsonl", "source", lines("source", [3, 5]))
    assert [place for _, place in log] == [("source.jsonl", 1), ("source.jsonl", 2)]
    assert log.last_ns == 5


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{nonsense}\n", "not JSON"),
        (b"\n", "not JSON"),
        (b"[1]\n", "no event"),
        (b"7\n", "no event"),
        (b'{"t_ns": 9, "event": "x"}\n', "no event"),
        (b'{"t_ns": 9, "side": "source"}\n', "no event"),
        (b'{"t_ns": 9.5, "side": "source", "event": "x"}\n', "t_ns must be an integer"),
        (b'{"t_ns": true, "side": "source", "event": "x"}\n', "t_ns must be an integer"),
        (b'{"t_ns": 9, "side": "source", "event": ["x"]}\n', "event a name"),
        (b'{"t_ns": 4, "side": "source", "event": "x"}\n', "4 after 5: a log does not go back in time"),
        (
            b'{"t_ns": 9, "side": "destination", "event": "x"}\n',
            "side 'destination' in the log of the source",
        ),
    ],
)
def test_a_malformed_line_is_named(line: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        list(Log("dir/source.jsonl", "source", [*lines("source", [5]), line]))
    assert (caught.value.path, caught.value.line) == ("dir/source.jsonl", 2)


def test_a_last_line_cut_off_in_the_middle_ends_the_log() -> None:
    log = Log("source.jsonl", "source", [*lines("source", [5]), b'{"t_ns": 6, "si'])
    assert len(list(log)) == 1


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (irq(5) | {"cpu": "0"}, "interrupt: cpu is '0', an integer is needed"),
        (arm(0, 5) | {"deadline_ns": "soon"}, "timer_armed: deadline_ns is 'soon'"),
        (arm(0, 5, due=None), None),
        (resume(5, cpu_tb=[1, "x"]), "machine_resumed: cpu_tb is"),
        (resume(5, pending=["decrementer"]), "machine_resumed: pending is"),
        (resume(5, pending=None, cpu_tb=None), None),
        ({"event": "from_the_future"}, None),
    ],
)
def test_what_the_schema_promises_is_looked_for(event: dict[str, Any], problem: str | None) -> None:
    said = malformed(event)
    assert (said or "").startswith(problem or "")
    assert (said is None) == (problem is None)


def test_a_missing_key_is_named() -> None:
    event = irq(5)
    del event["timer"]
    assert malformed(event) == "interrupt without 'timer'"
