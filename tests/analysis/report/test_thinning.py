"""What is kept of many arcs, and that the counts stay whole."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.report import thinning
from livemig.analysis.report.story import Arc
from livemig.analysis.report.thinning import Density, Thinned


def arc(number: int, outcome: str = "on_time", cpu: int = 0) -> Arc:
    at = 10 * number
    return Arc(cpu, "decr", outcome, at - 5, at, at, 5, ("source.jsonl", 2 * number), ("source.jsonl", 2 * number + 1))  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1 << 45)), max_size=200))
def test_density_counts_every_delivery_in_its_bin(deliveries: list[tuple[int, int]]) -> None:
    density = Density()
    for cpu, t_ns in deliveries:
        density.add(cpu, t_ns)
    expected = Counter((cpu, t_ns // (1 << density.shift)) for cpu, t_ns in deliveries)
    assert {(cpu, bin): n for cpu, bins in density.counts.items() for bin, n in bins.items()} == expected
    assert all(bin < Density.BINS for _, bin in expected)


def test_a_small_run_is_kept_whole() -> None:
    thinned = Thinned(500)
    for number in range(500):
        thinned.tell(arc(number))
    assert thinned.stride == 1
    assert len(thinned.kept) == 500


def test_of_a_large_run_a_share_is_kept_and_all_around_what_went_wrong() -> None:
    thinned, near = Thinned(100_000, limit=1000), thinning.NEAR
    for number in range(1, 100_001):
        thinned.tell(arc(number, "lost" if number == 50_000 else "on_time"))
    kept = {seen.end_ns // 10 for seen in thinned.kept}
    assert len(kept) == len(thinned.kept), "none twice"
    assert set(range(50_000 - near, 50_000 + near)) <= kept
    assert 1000 <= len(kept) <= 1000 + 2 * near
    assert sum(thinned.density.counts[0].values()) == 99_999


def test_the_neighbours_of_a_place_in_the_log_are_kept() -> None:
    thinned = Thinned(100_000, frozenset({("source.jsonl", 2 * 70_000)}), limit=10)
    for number in range(1, 100_001):
        thinned.tell(arc(number))
    kept = {seen.end_ns // 10 for seen in thinned.kept}
    assert set(range(69_990, 70_010)) <= kept


def test_a_stop_is_of_interest_on_every_cpu() -> None:
    thinned = Thinned(100_000, limit=10)
    for number in range(1, 2001):
        thinned.tell(arc(number, cpu=number % 2))
        if number == 1000:
            thinned.everywhere()
    assert {seen.cpu for seen in thinned.kept if 9900 < seen.end_ns < 10_100} == {0, 1}


def test_trouble_without_end_does_not_fill_the_page() -> None:
    thinned = Thinned(100_000, limit=100)
    for number in range(1, 100_001):
        thinned.tell(arc(number, "late"))
    assert len(thinned.kept) <= thinning.TROUBLE_LIMIT + 100 + thinning.NEAR
