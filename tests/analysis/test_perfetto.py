"""The trace of a run: what is drawn where, and that it keeps Perfetto's rules whatever the log says."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.log import Log
from livemig.analysis.manifest import Manifest
from livemig.analysis.perfetto.export import draw
from livemig.errors import InputError

from .histories import Event, arm, coalesced, ended, irq, log, masked, passed, resume, run_json, state, stop
from .perfetto_rules import Timeline, read

CPU = ("source", "cpu 0")
TIMER = (*CPU, "decrementer")
WAITING = (*CPU, "decrementer waiting")
THERE = ("destination", "cpu 0", "decrementer")


def drawn(*events: Event, **manifest: Any) -> Timeline:
    file = io.BytesIO()
    told = sorted(events, key=lambda event: event["t_ns"])
    draw(log(told, "source"), log(told, "destination"), Manifest.parse(run_json(**manifest)), file)
    return read(file.getvalue())


CROSSING = (
    resume(0, "source"),
    arm(0, 100),
    irq(100),
    arm(100, 500),
    stop(300),
    arm(0, 9999, side="destination", cause="reset"),
    resume(400),
    arm(400, 200, side="destination", cause="restore", due=600),
    irq(600, side="destination", late_ns=0),
    ended(700, "destination"),
)


def test_an_armed_timer_is_a_slice_until_its_interrupt_and_on_either_side_if_it_crosses() -> None:
    timeline = drawn(*CROSSING)
    assert timeline.on(*TIMER) == [("decrementer armed", 0, 100), ("decrementer armed", 100, 400)]
    assert timeline.on(*THERE) == [("decrementer armed", 400, 600)]
    assert [seen.args["end"] for seen in timeline.slices if "decrementer" in seen.track] == [
        "delivered",
        "crossed",
        "delivered",
    ]
    assert [(seen.track, seen.begin) for seen in timeline.instants if seen.name == "decrementer interrupt"] == [
        (("source", "cpu 0"), 100),
        (("destination", "cpu 0"), 600),
    ]


def test_a_flow_leads_from_the_arm_on_the_source_to_its_delivery_on_the_destination() -> None:
    (flow,) = drawn(*CROSSING).flows.values()
    assert [(seen.track[0], seen.name, seen.begin) for seen in flow] == [
        ("source", "decrementer armed", 100),
        ("destination", "decrementer armed", 400),
        ("destination", "decrementer interrupt", 600),
    ]


def test_the_flow_is_the_same_where_timers_are_restored_before_the_guest_resumes() -> None:
    restored = arm(390, 210, side="destination", cause="restore", due=600)
    (flow,) = drawn(*CROSSING[:5], restored, resume(400), *CROSSING[8:]).flows.values()
    assert [(seen.track[0], seen.begin) for seen in flow] == [
        ("source", 100),
        ("destination", 390),
        ("destination", 600),
    ]


def test_an_arm_that_is_not_restored_has_an_interrupt_without_a_flow() -> None:
    timeline = drawn(*(event for event in CROSSING if event.get("cause") != "restore"))
    (flow,) = timeline.flows.values()
    assert [seen.name for seen in flow] == ["decrementer armed", "decrementer interrupt"]
    rewritten = drawn(*CROSSING[:7], arm(410, 5, side="destination"), irq(415, side="destination"))
    assert [len(flow) for flow in rewritten.flows.values()] == [1]


def test_an_interrupt_that_waits_for_the_guest_has_a_slice_of_its_own() -> None:
    timeline = drawn(arm(0, 100), masked(100), arm(110, 50), irq(130), irq(160))
    assert timeline.on(*TIMER) == [("decrementer armed", 0, 100), ("decrementer armed", 110, 160)]
    assert timeline.on(*WAITING) == [("decrementer waiting", 100, 130)]


def test_an_interrupt_that_waits_across_the_blackout_is_a_flow_too() -> None:
    timeline = drawn(arm(0, 100), masked(100), stop(200), resume(300), irq(310, side="destination"))
    (flow,) = timeline.flows.values()
    assert [(seen.track[0], seen.name) for seen in flow] == [
        ("source", "decrementer waiting"),
        ("destination", "decrementer interrupt"),
    ]


def test_two_raised_at_once_are_answered_by_one_interrupt() -> None:
    timeline = drawn(arm(0, 100), masked(100), arm(110, 50), coalesced(160), irq(170))
    assert timeline.on(*TIMER)[1] == ("decrementer armed", 110, 160)
    assert timeline.on(*WAITING) == [("decrementer waiting", 100, 170)]


def test_an_arm_without_a_deadline_ends_the_one_before_and_is_none_itself() -> None:
    assert drawn(arm(0, 100), arm(50, 7, due=None), ended(90)).on(*TIMER) == [("decrementer armed", 0, 50)]


def test_the_guest_runs_on_one_side_at_a_time_and_the_blackout_is_between() -> None:
    timeline = drawn(*CROSSING)
    assert timeline.on("source", "guest") == [("running", 0, 300)]
    assert timeline.on("destination", "guest") == [("running", 400, 700)]
    assert timeline.on("blackout") == [("blackout", 300, 400)]


def test_a_pause_on_one_side_is_not_called_a_blackout() -> None:
    timeline = drawn(resume(0, "source"), stop(10), resume(15, "source"), stop(20), resume(30))
    assert timeline.on("blackout") == [("pause", 10, 15), ("blackout", 20, 30)]


def test_the_tb_error_is_of_each_cpu_and_against_the_policy() -> None:
    frozen = (resume(0, "source"), stop(300), resume(400, tb=300, cpu_tb=[300, 290]))
    counters = drawn(*frozen, cpus=2).counters
    assert counters["TB error", "TB error, cpu 0"] == [(0, 0), (400, -100)]
    assert counters["TB error", "TB error, cpu 1"] == [(400, -110)]
    counters = drawn(*frozen, cpus=2, time_policy="freeze").counters
    assert counters["TB error", "TB error, cpu 0"] == [(0, 0)]


def test_a_tb_error_is_written_where_it_changes_and_a_tb_that_was_not_recorded_is_none() -> None:
    events = (arm(0, 10), irq(10), arm(20, 5, tb=21), irq(25, tb=26), stop(30, tb=31, cpu_tb=None, decr=None))
    unrecorded = (resume(40) | {"tb": None, "cpu_tb": None},)
    assert drawn(*events, *unrecorded).counters["TB error", "TB error, cpu 0"] == [(0, 0), (20, 1)]


def test_passes_lie_end_to_end_and_measure_rates() -> None:
    timeline = drawn(passed(100, took=60), passed(150, took=51), ended(200))
    assert timeline.on("source", "passes") == [("pass 1", 40, 100), ("pass 1", 100, 150)]
    assert timeline.counters["source", "dirty pages"] == [(100, 1), (150, 1)]
    assert {path[-1] for path in timeline.counters} == {"dirty pages", "dirty memory", "rate", "dirty rate"}


def test_a_status_lasts_until_the_next_and_a_final_one_is_an_instant() -> None:
    timeline = drawn(state(10, "setup"), state(20, "active"), state(50, "failed", "link lost"), ended(60))
    assert timeline.on("source", "migration") == [("setup", 10, 20), ("active", 20, 50)]
    failed = next(seen for seen in timeline.instants if seen.name == "failed")
    assert (failed.begin, failed.args["reason"]) == (50, "link lost")


def test_nothing_is_rounded() -> None:
    """Nanoseconds of days, and a 64-bit TB: no float holds them."""
    late, top = 9 * 86_400 * 10**9 + 1, (1 << 64) - 1
    timeline = drawn(arm(late, 2, tb=top), irq(late + 2, tb=1, decr=-5))
    assert timeline.on(*TIMER) == [("decrementer armed", late, late + 2)]
    assert timeline.slices[0].args["tb"] == top
    assert timeline.instants[0].args["decr"] == -5


def test_what_a_log_says_of_the_time_state_is_shown_whole() -> None:
    saved = {"t_ns": 5, "side": "source", "event": "state_saved", "saved": {"decr": [-1, 2], "name": "x", "none": None}}
    (seen,) = drawn(saved).instants
    assert (seen.track, seen.name) == (("source",), "state_saved")
    assert seen.args == {"saved": {"decr": [-1, 2], "name": "x", "none": "None"}}


def test_a_malformed_event_is_named() -> None:
    with pytest.raises(InputError, match=r"source.jsonl:2: interrupt: cpu is 'x'"):
        drawn(arm(0, 5), irq(5, cpu="x"))  # type: ignore[arg-type]


def _any_event(number: int, kind: int, other: bool, late: bool) -> Event:
    t, side = number * 10, "destination" if other else "source"
    return (
        arm(t, 15, side=side),
        arm(t, 15, side=side, cause="restore"),
        arm(t, 15, side=side, due=None),
        irq(t, side=side),
        masked(t, side=side),
        coalesced(t, side=side),
        stop(t, side),
        resume(t, side),
        passed(t, took=25 if late else 5, side=side),
        state(t, "completed" if late else "active", side=side),
    )[kind]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=30))
def test_whatever_the_log_says_the_trace_keeps_perfettos_rules(story: list[tuple[int, bool, bool]]) -> None:
    events = [_any_event(number, *what) for number, what in enumerate(story)]
    timeline = drawn(*events)
    interrupts = [seen for seen in timeline.instants if seen.name == "decrementer interrupt"]
    assert len(interrupts) == sum(event["event"] == "interrupt" for event in events)
    assert len(timeline.on("source", "passes")) == sum(
        event["event"] == "migration_pass" and event["side"] == "source" for event in events
    )
    by_track: dict[tuple[str, ...], int] = {}
    for seen in timeline.slices:
        assert seen.begin >= by_track.get(seen.track, 0), "slices of a track overlap"
        by_track[seen.track] = seen.end or 0


class _Counting(io.RawIOBase):
    """Takes everything and keeps nothing."""

    def __init__(self) -> None:
        self.octets = 0

    def write(self, data: Any) -> int:
        self.octets += len(data)
        return len(data)


def _peak(interrupts: int) -> tuple[int, int]:
    """Bytes of memory at most, and bytes written, for so many interrupts."""

    def lines() -> Iterator[bytes]:
        for number in range(interrupts):
            yield orjson.dumps(arm(number * 10, 5)) + b"\n"
            yield orjson.dumps(irq(number * 10 + 5)) + b"\n"

    sink = _Counting()
    tracemalloc.start()
    draw(Log("source.jsonl", "source", lines()), log([], "destination"), Manifest.parse(run_json()), sink)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, sink.octets


def test_memory_does_not_grow_with_the_log() -> None:
    _peak(10)  # what is allocated once
    small, large = _peak(100), _peak(5000)
    assert large[1] > 40 * small[1]
    assert large[0] < 2 * small[0]
