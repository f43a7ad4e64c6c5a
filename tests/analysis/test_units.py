"""Quantities as people read them."""

from __future__ import annotations

import pytest

from livemig.analysis.units import duration, instant, plural, size


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0, "0"),
        (999, "999 ns"),
        (1_000, "1 us"),
        (1_999_999, "1.999 ms"),
        (-42_108, "-42.108 us"),
        (1_500_000_000, "1.5 s"),
        (3_600_000_000_000, "3,600 s"),
    ],
)
def test_durations_keep_three_decimals_and_never_round_up(ns: int, said: str) -> None:
    assert duration(ns) == said


def test_instants_are_seconds_to_the_microsecond() -> None:
    assert [instant(ns) for ns in (0, 1_234_567_891, -1_000)] == ["0 s", "1.234567 s", "-0.000001 s"]


def test_sizes_and_plurals() -> None:
    assert [size(octets) for octets in (0, 1023, 1536, 64 << 20)] == ["0 B", "1023 B", "1.5 KiB", "64 MiB"]
    assert [plural(count, "tick") for count in (-1, 0, 1, 2_000)] == [
        "-1 tick",
        "0 ticks",
        "1 tick",
        "2,000 ticks",
    ]
