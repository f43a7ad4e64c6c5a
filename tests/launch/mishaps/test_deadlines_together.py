"""All CPUs' deadlines at one instant, before the blackout, in it, and behind it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .scenario import GOES_ON, MS, US, run


def test_all_of_them_come_and_in_the_same_order_each_time(tmp_path: Path) -> None:
    seen = run(tmp_path, machine__cpus=4, guest__boot_interval="0ns")
    due = Counter(each["deadline_ns"] for side in seen.logs for each in seen.events(side, "interrupt"))
    assert set(due.values()) == {4}
    assert {90 * MS + 10 * US, 110 * MS + 10 * US, 140 * MS + 10 * US} <= set(due)
    order = [each["cpu"] for side in seen.logs for each in seen.events(side, "interrupt")]
    assert order == [0, 1, 2, 3] * len(due)
    late = [each for each in seen.events("destination", "interrupt") if each["deadline_ns"] < GOES_ON]
    assert len({each["t_ns"] for each in late}) == 1
    assert seen.verdict == "valid"
