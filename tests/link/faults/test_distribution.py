"""The distributions of a jitter are netem's."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, pstdev

import pytest

from livemig.link.faults.distribution import FARTHEST, ONE, SIZE, table

NAMES = ("normal", "pareto", "paretonormal")


def test_normal_is_symmetric_and_of_deviation_one() -> None:
    values = table("normal")
    assert all(a + b == 0 for a, b in zip(values, reversed(values), strict=True))
    assert pstdev(values) == pytest.approx(ONE, rel=0.002)
    assert sum(abs(each) <= ONE for each in values) / SIZE == pytest.approx(0.6827, abs=0.001)


def test_pareto_by_hand() -> None:
    """u = 0: -2/3; u = 7/8: 4/3 · (2 - 3/2) = 2/3; u = 26/27: 4/3 · 3/2 = 2; beyond 4 it is 4."""
    values = table("pareto")
    assert values[0] == pytest.approx(-2 / 3 * ONE, abs=1)
    assert values[SIZE * 7 // 8] == pytest.approx(2 / 3 * ONE, abs=1)
    assert values[round(SIZE * 26 / 27)] == pytest.approx(2 * ONE, rel=0.01)
    assert values[-1] == 4 * ONE - 1


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_in_order_of_so_many_values_and_none_lies_farther_than_said(name: str) -> None:
    values = table(name)
    assert len(values) == SIZE
    assert list(values) == sorted(values)
    assert max(values) < FARTHEST[name] * ONE
    assert abs(fmean(values)) < 0.04 * ONE


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_table_of_iproute2(name: str) -> None:
    """But for the outermost hundredth, where iproute2's normal is not symmetric."""
    found = [*Path("/usr/lib").glob(f"tc/{name}.dist"), *Path("/usr/lib").glob(f"*/tc/{name}.dist")]
    if not found:
        pytest.skip("needs iproute2's tables")
    lines = [line for line in found[0].read_text().splitlines() if not line.startswith("#")]
    real = sorted(int(word) for line in lines for word in line.split())
    for own, other in list(zip(table(name), real, strict=True))[20:-20]:
        assert abs(own - other) <= 0.01 * ONE
