"""The hosts' tick counters run at other frequencies, from other origins: no strategy that is right may care."""

from __future__ import annotations

from pathlib import Path

from .scenario import GOES_ON, STOPS, run, tb_error


def test_each_side_counts_its_own_ticks_and_tb_goes_on(tmp_path: Path) -> None:
    """1 GHz from 5 on; 2.4 GHz from 98,765 on: 12 ticks in 5 ns."""
    counters = {"host__source__tick_hz": "1GHz", "host__source__tick_origin": 5}
    counters |= {"host__destination__tick_hz": "2.4GHz", "host__destination__tick_origin": 98_765}
    seen = run(tmp_path, **counters)
    (saved,), (restored,) = seen.events("source", "state_saved"), seen.events("destination", "state_restored")
    assert saved["host"]["ticks"] == STOPS + 5
    assert restored["host"]["ticks"] == GOES_ON * 12 // 5 + 98_765
    assert abs(tb_error(seen)) <= 1
    assert seen.verdict == "valid"
