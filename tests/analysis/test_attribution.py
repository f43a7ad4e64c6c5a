"""Where lateness comes from. 1 GHz: a tick is a nanosecond."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.attribution import PARTS, Span, spans_of, split
from livemig.analysis.ticks import to_ticks

from .histories import GHZ, arm, ended, irq, judged, masked, passed, resume, state, stop

D = "destination"
RAISED: dict[str, Any] = {"pending": [["decrementer"]]}


def latest(*history: dict[str, Any], **manifest: Any) -> dict[str, int]:
    """The parts of the latest interrupt that are not 0."""
    told = judged(*history, ended(5000, D), **manifest).as_dict()["attribution"][0]
    assert sum(told["parts"].values()) == told["late_ticks"]
    return {part: ticks for part, ticks in told["parts"].items() if ticks}


def test_every_stretch_of_a_blackout_is_told_from_the_next() -> None:
    history = [
        arm(0, 55),
        stop(50),
        passed(80, took=20),
        state(90, "device", side=D),
        resume(200),
        masked(210, side=D),
        irq(230, side=D),
    ]
    assert latest(*history, downtime_ns=120) == {
        "stop": 5,  # 55 to 60, when the pass began
        "last_transfer": 30,  # to 90, when the snapshot was there
        "downtime": 80,  # to 170, as was asked for
        "restore": 40,  # to 200, the resume, and on to 210, when it was raised
        "guest_masked": 20,
    }


def test_without_passes_or_a_downtime_that_was_asked_for_it_is_all_downtime() -> None:
    assert latest(arm(0, 60), stop(50), resume(150), irq(150, side=D)) == {"downtime": 90}


def test_qemus_word_for_a_snapshot_that_is_there_is_completed() -> None:
    history = [arm(0, 60), stop(50), state(70, "completed", side=D), resume(150), irq(150, side=D)]
    assert latest(*history) == {"last_transfer": 10, "downtime": 80}


def test_a_pass_that_ended_before_the_stop_is_no_part_of_the_blackout() -> None:
    history = [arm(0, 60), passed(50, took=40), stop(50), resume(150), irq(150, side=D)]
    assert latest(*history) == {"downtime": 90}


def test_pending_over_the_blackout_the_guest_waits_on_both_sides_of_it() -> None:
    history = [arm(0, 40), masked(45), stop(50, **RAISED), resume(150, **RAISED), irq(170, side=D)]
    assert latest(*history) == {"unexplained": 5, "guest_masked": 5 + 20, "downtime": 100}


def test_where_nothing_crossed_it_is_not_the_restore() -> None:
    assert latest(arm(0, 100), irq(130)) == {"unexplained": 30}
    assert latest(arm(0, 100), masked(110), irq(150)) == {"unexplained": 10, "guest_masked": 40}
    assert latest(stop(50), resume(150), arm(200, 10, side=D), irq(217, side=D)) == {"unexplained": 7}


def test_frozen_guest_time_has_no_blackout_in_it() -> None:
    """Due at 60, 10 after the stop; delivered 250 after the resume."""
    history = [arm(0, 60), stop(50), resume(150, tb=50), irq(400, side=D, tb=300)]
    assert latest(*history, time_policy="freeze") == {"restore": 240}
    assert latest(*history) == {"downtime": 90, "restore": 250}


def test_a_tick_that_tb_lost_to_rounding_is_told_from_the_restore() -> None:
    """10 MHz: over 955 ns TB moves by 9.55 ticks, so 9 is a tick less than the 10 it could have been."""
    history = [arm(0, 1, due=105), stop(50, tb=0), resume(1005, tb=9), irq(1305, side=D, tb=12)]
    assert latest(*history, timebase_hz=10_000_000) == {"downtime": 9, "restore": 2, "offset_rounding": 1}
    history[2:] = [resume(1005, tb=10), irq(1305, side=D, tb=13)]
    assert latest(*history, timebase_hz=10_000_000) == {"downtime": 9, "restore": 3}


def test_the_worst_ten_are_shown_and_all_are_summed() -> None:
    history = [event for cpu in range(12) for event in (arm(0, 100, cpu=cpu), irq(101 + cpu, cpu=cpu))]
    told = judged(*sorted(history, key=lambda event: event["t_ns"]), cpus=12).as_dict()
    assert [late["late_ticks"] for late in told["attribution"]] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert told["attribution"][0] | {"parts": None} == {
        "cpu": 11, "timer": "decrementer", "due_ns": 100, "late_ticks": 12, "parts": None,
    }  # fmt: skip
    total = told["attribution_total"]
    assert (total["interrupts"], total["late_ticks"], total["parts"]["unexplained"]) == (12, 78, 78)


INSTANT = st.integers(0, 60)


@st.composite
def blackouts(draw: st.DrawFn) -> list[Span]:
    stop, resume = sorted((draw(INSTANT), draw(INSTANT)))
    passes = draw(st.none() | st.tuples(INSTANT, INSTANT))
    return spans_of(stop, resume, passes, draw(st.none() | INSTANT), draw(st.none() | INSTANT))


@given(blackouts(), INSTANT, INSTANT, st.none() | INSTANT, st.none() | INSTANT)
def test_every_nanosecond_is_one_part(
    spans: list[Span], one: int, other: int, raised: int | None, resumed: int | None
) -> None:
    due, now = sorted((one, other))
    counted = dict.fromkeys(PARTS, 0)
    for t in range(due, now):
        inside = [span.part for span in spans if span.begin <= t < span.end]
        if inside:
            counted[inside[0]] += 1
        elif raised is not None and t >= raised:
            counted["guest_masked"] += 1
        else:
            counted["restore" if resumed is not None and t >= resumed else "unexplained"] += 1
    assert split(due, now, GHZ, spans, raised, resumed) == counted


@given(blackouts(), st.integers(1, 3 * GHZ), INSTANT, INSTANT, st.none() | INSTANT, st.integers(1, 10**9))
def test_the_parts_sum_to_the_whole_in_ticks_at_any_frequency(
    spans: list[Span], hz: int, one: int, other: int, raised: int | None, scale: int
) -> None:
    longer = [Span(span.begin * scale, span.end * scale, span.part) for span in spans]
    due, now = sorted((one * scale, other * scale))
    parts = split(due, now, hz, longer, None if raised is None else raised * scale)
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == to_ticks(now - due, hz)


@given(blackouts())
def test_the_spans_of_a_blackout_follow_on_each_other(spans: list[Span]) -> None:
    assert [span.part for span in spans] == ["stop", "last_transfer", "downtime", "restore"]
    assert all(before.end == after.begin for before, after in pairwise(spans))
