"""``clock_step``: a host's time of day is set; ``tb-offset`` believes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scenario import run, tb_error

PER_MS = 16_600


@pytest.mark.parametrize(
    ("side", "at", "by_ms", "error_ms"),
    [
        ("destination", "110ms", 5, 5),  # in the blackout: the guest is put ahead
        ("destination", "110ms", -5, -5),
        ("source", "20ms", 5, -5),  # saved by a clock that is ahead
        ("source", "110ms", 5, 0),  # when it was saved already
        ("destination", "200ms", 5, 0),  # when it was restored already
    ],
)
def test_tb_is_wrong_by_what_the_clock_was_set(side: str, at: str, by_ms: int, error_ms: int, tmp_path: Path) -> None:
    seen = run(
        tmp_path, clock_step__enabled=True, clock_step__side=side, clock_step__at=at, clock_step__by=f"{by_ms}ms"
    )
    assert abs(tb_error(seen) - error_ms * PER_MS) <= 1
    assert ("tb_continuous" in seen.failed) == (error_ms != 0)
