"""What a blackout trips in a real guest."""

from __future__ import annotations

from typing import Any

import pytest

from livemig.analysis.case import Case
from livemig.analysis.impact import OFFSET, THRESHOLDS, UNSERVED, impacts
from livemig.analysis.unserved import Unserved

from .histories import arm, case, ended, irq, judged, resume, stop

D = "destination"
MS, S = 1_000_000, 1_000_000_000


def tripped(unserved_ns: int | None, offset_ns: int | None) -> set[str]:
    return {impact.name for impact in impacts(unserved_ns, offset_ns) if impact.tripped}


@pytest.mark.parametrize(
    ("unserved_ns", "offset_ns", "names"),
    [
        (0, 0, set()),
        (0, 128 * MS, set()),
        (0, 128 * MS + 1, {"NTP step"}),
        (0, -500 * MS - 1, {"NTP step", "CockroachDB", "YugabyteDB"}),
        (20 * S, 0, set()),
        (20 * S + 1, 0, {"Linux soft lockup"}),
        (61 * S, None, {"Linux soft lockup", "Linux RCU stall", "hardware watchdog"}),
        (None, 1001 * S, {"NTP step", "NTP panic", "CockroachDB", "YugabyteDB", "Kerberos"}),
        (None, None, set()),
    ],
)
def test_more_than_a_threshold_trips_it(unserved_ns: int | None, offset_ns: int | None, names: set[str]) -> None:
    assert tripped(unserved_ns, offset_ns) == names


def test_every_threshold_has_a_source_and_a_name_of_its_own() -> None:
    assert len({threshold.name for threshold in THRESHOLDS}) == len(THRESHOLDS)
    assert all(threshold.source and threshold.quantity in (UNSERVED, OFFSET) for threshold in THRESHOLDS)


def unserved(*events: dict[str, Any], **manifest: Any) -> int | None:
    told: Case = case(*events, **manifest)
    return told[Unserved].ticks


def test_the_jump_of_the_timebase_is_time_without_service() -> None:
    assert unserved(stop(50, decr=[30]), resume(150), irq(150, side=D)) == 100


def test_an_interrupt_that_comes_later_still_counts_from_where_it_was_asked_for() -> None:
    """TB stands at 50, DECR was to run out at 80; the interrupt comes at TB 400."""
    assert unserved(stop(50, decr=[30]), resume(150, tb=50), irq(500, side=D, tb=400)) == 320


def test_a_sleep_that_the_guest_had_planned_is_no_lack_of_service() -> None:
    assert unserved(stop(50, decr=[1000]), resume(150, tb=50), irq(1150, side=D, tb=1050)) == 0


def test_a_guest_that_hangs_waits_until_the_end() -> None:
    """TB 150 at 150, so 1000 at 1000; DECR was to run out at 80."""
    assert unserved(stop(50, decr=[30]), resume(150), ended(1000, D)) == 920


def test_a_negative_decr_asks_for_an_interrupt_only_while_that_is_raised() -> None:
    idle = stop(50, decr=[-20]), resume(150, tb=50), ended(1000, D)
    owed = stop(50, decr=[-20], pending=[["decrementer"]]), *idle[1:]
    assert (unserved(*idle), unserved(*owed)) == (0, 850)


def test_where_the_guest_never_stood_still_nothing_is_known() -> None:
    assert unserved(arm(0, 10), irq(10), ended(20)) is None


def test_the_worst_of_cpus_and_blackouts_counts() -> None:
    two = {"pending": [[], []], "cpu_tb": [50, 50]}
    one_late = stop(50, decr=[30, 30], **two), resume(60, tb=50), irq(70, side=D, tb=60), irq(200, 1, D, tb=190)
    assert unserved(*one_late, cpus=2) == 110


def test_the_result_holds_each_threshold_against_the_run() -> None:
    """Half a second in which TB stood still: the guest is behind by it, and no CPU was late in its own time."""
    told = judged(arm(0, 600 * MS), stop(50), resume(500 * MS + 50, tb=50), irq(1100 * MS, side=D, tb=600 * MS))
    impact = {entry["name"]: entry for entry in told.as_dict()["impact"]}
    assert impact["NTP step"] == {
        "name": "NTP step", "quantity": "offset", "threshold_ns": 128 * MS, "value_ns": 500 * MS, "tripped": True,
        "source": "ntpd, `tinker step` 0.128 s: the clock is stepped, not slewed",
    }  # fmt: skip
    assert not impact["CockroachDB"]["tripped"]
    assert impact["Linux soft lockup"]["value_ns"] == 0
