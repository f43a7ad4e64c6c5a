"""``clock_drift``: a host's time of day goes wrong from a time on; ``tb-offset`` believes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scenario import GOES_ON, STOPS, run, tb_error


@pytest.mark.parametrize(("side", "read_ns", "sign"), [("destination", GOES_ON, 1), ("source", STOPS, -1)])
@pytest.mark.parametrize("ppm", [100_000, -20_000])
def test_tb_is_wrong_by_so_many_millionths_since_then(
    side: str, read_ns: int, sign: int, ppm: int, tmp_path: Path
) -> None:
    """At 16.6 MHz; from 10 ms until the side reads its clock."""
    at_ns = 10_000_000
    seen = run(
        tmp_path, clock_drift__enabled=True, clock_drift__side=side, clock_drift__at=f"{at_ns}ns", clock_drift__ppm=ppm
    )
    expected = sign * ppm * (read_ns - at_ns) * 166 // 10**10
    assert abs(tb_error(seen) - expected) <= 1
    assert "tb_continuous" in seen.failed
