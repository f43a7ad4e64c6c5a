"""What a host that stood still explains, and what it does not. A tick is 1 ns; all numbers by hand."""

from __future__ import annotations

from typing import Any

import pytest

from livemig.analysis.held import covered_ns
from livemig.analysis.text import verdict_text

from .histories import arm, ended, irq, judged, resume, stop

D = "destination"


def held(begin: int, end: int, side: str = "source") -> list[dict[str, Any]]:
    return [
        {"t_ns": begin, "side": side, "event": "host_stopped", "fault": "pause"},
        {"t_ns": end, "side": side, "event": "host_continued", "fault": "pause", "stood_ns": end - begin},
    ]


@pytest.mark.parametrize(("came", "word"), [(60, "valid"), (61, "valid"), (62, "invalid")])
def test_an_interrupt_may_be_as_late_as_the_host_that_stood_and_not_later(came: int, word: str) -> None:
    """Due at 10, the host stood from 5 to 60; what is executed then comes at the next tick."""
    result = judged(arm(0, 10), *held(5, 60), irq(came), ended(99))
    check = result.checks["lateness_bounded"]
    assert check.word == word
    assert result.attributed.total["host_stopped"] == min(came, 61) - 10
    assert result.attributed.total["unexplained"] == max(came - 61, 0)
    if word == "valid":
        assert [(seen.file, seen.line) for seen in check.evidence] == [("source.jsonl", 2)]
        assert "by the blackout and hosts that stood still" not in verdict_text(result)  # there was no blackout


def test_what_is_late_before_the_host_stood_is_not_its_doing() -> None:
    """Due at 10, late by 20 before the host stood from 30 to 60."""
    result = judged(arm(0, 10), *held(30, 60), irq(61), ended(99))
    assert result.checks["lateness_bounded"].word == "invalid"
    assert result.attributed.total["host_stopped"] == 31
    assert result.attributed.total["unexplained"] == 20


def test_the_other_host_explains_nothing() -> None:
    assert judged(arm(0, 10), *held(5, 60, D), irq(60), ended(99)).checks["lateness_bounded"].word == "invalid"


def test_a_host_that_stood_within_the_blackout_is_not_counted_twice() -> None:
    """Due at 100, within a blackout from 50 to 150; 20 after the resume are nobody's."""
    events = [arm(0, 100), stop(50), *held(60, 80), *held(60, 90, D), resume(150), irq(170, side=D), ended(999, D)]
    result = judged(*events)
    assert result.checks["lateness_bounded"].word == "invalid"
    assert result.attributed.total["host_stopped"] == 0


@pytest.mark.parametrize(("until", "word"), [(95, "valid"), (80, "invalid")])
def test_an_interrupt_that_never_came_is_lost_unless_the_host_stood_to_the_end(until: int, word: str) -> None:
    events = [arm(0, 10), *held(5, until), ended(95)]
    assert judged(*events).checks["no_interrupt_lost"].word == word


@pytest.mark.parametrize(("stood", "word"), [((60, 110), "valid"), ((60, 109), "invalid"), ((110, 160), "invalid")])
def test_a_blackout_may_be_longer_by_as_much_as_a_host_stood_within_it(stood: tuple[int, int], word: str) -> None:
    """From 50 to 150, of which 50 were asked for."""
    for side in ("source", D):
        events = sorted([stop(50), *held(*stood, side), resume(150)], key=lambda event: event["t_ns"])
        checks = judged(*events, downtime_ns=50, downtime_limit_ns=0).checks
        assert checks["blackout_as_configured"].word == word


def test_hosts_that_stand_at_one_time_explain_it_once() -> None:
    assert covered_ns([(0, 10), (5, 12), (20, 30), (22, 25), (40, 40), (50, 45)]) == 22
    events = [stop(50), *held(60, 100), *held(60, 100, D), resume(150)]
    assert judged(*events, downtime_ns=50, downtime_limit_ns=0).checks["blackout_as_configured"].word == "invalid"
