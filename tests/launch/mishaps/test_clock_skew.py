"""The destination's time of day is another one: ``tb-offset`` believes it, ``channel-clock`` asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scenario import run, tb_error


@pytest.mark.parametrize("skew_us", [300_000, -7_000])
@pytest.mark.parametrize("strategy", ["tb-offset", "channel-clock"])
def test_tb_is_wrong_by_it(strategy: str, skew_us: int, tmp_path: Path) -> None:
    """16.6 ticks a microsecond."""
    seen = run(tmp_path, host__clock_skew=f"{skew_us}us", migration__strategy=strategy)
    expected = skew_us * 166 // 10 if strategy == "tb-offset" else 0
    assert abs(tb_error(seen) - expected) <= 1
    assert ("tb_continuous" in seen.failed) == (expected != 0)
