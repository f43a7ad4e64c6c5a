"""Which rule a log shows. Predictions are by hand: 1 GHz, TB 1000 and DECR 30 at the stop, 100 ticks later."""

from __future__ import annotations

from typing import Any

import pytest

from livemig.analysis.crossing import Moment
from livemig.analysis.inference import Inference, infer

from .histories import GHZ, judged, resume, stop

D = "destination"
UNSET, SET = 1000, 400
"""The virtual clock at the stop: TB counts it, or the guest has set TB 600 ticks ahead."""


def inferred(
    tb: int | None, decr: int | None, clock_ns: int | None = UNSET, blackout: int = 100, hz: int = GHZ
) -> Inference:
    before = stop(50, tb=1000, decr=[30], clock_ns=clock_ns)
    after = resume(50 + blackout) | {"tb": tb, "cpu_tb": [tb], "decr": [decr]}
    return infer(Moment.of(before, ("s", 1)), Moment.of(after, ("d", 1)), hz, 32)


@pytest.mark.parametrize(
    ("strategy", "tb", "decr", "ties"),
    [
        ("none", 1000, -1001, set()),
        ("absolute", 1100, 30, set()),
        ("absolute-frozen-tb", 1000, 30, {"qemu-dead-clamp", "tb-write-dropped"}),
        ("tb-offset", 1100, -70, {"snapshot-tuple", "channel-clock", "clamped"}),
        ("frequency-change", 250, 30, set()),
        ("frequency-change", 666, 30, set()),
        ("deadline-before-clock", 1100, 1030, set()),  # against a TB of 0
        ("double-read", 1100, -1070, set()),  # a microsecond
    ],
)
def test_a_guest_that_never_set_its_timebase(strategy: str, tb: int, decr: int, ties: set[str]) -> None:
    found = inferred(tb, decr)
    assert (found.strategy, found.residual_ticks, set(found.ties)) == (strategy, 0, ties)


@pytest.mark.parametrize(
    ("strategy", "tb", "decr", "ties"),
    [
        ("none", 400, -401, set()),
        ("absolute-frozen-tb", 1000, 30, {"qemu-dead-clamp"}),
        ("tb-write-dropped", 400, 30, set()),
        # The offset, 1100 - 400, is rounded up to 2^24: TB is 400 + 16777216, which is 16776616 more than it was.
        ("cpu-before-machine", 1100, 630, set()),  # against a TB 600 lower
        ("kvm-tbu40", 16_777_616, 30 - 16_776_616, set()),
    ],
)
def test_a_guest_that_set_its_timebase(strategy: str, tb: int, decr: int, ties: set[str]) -> None:
    found = inferred(tb, decr, clock_ns=SET)
    assert (found.strategy, found.residual_ticks, set(found.ties)) == (strategy, 0, ties)


def test_a_clamp_shows_beyond_its_second() -> None:
    found = inferred(1000 + GHZ, 30 - GHZ, blackout=GHZ * 3 // 2)
    assert (found.strategy, found.residual_ticks, found.ties) == ("clamped", 0, ())
    assert (found.others or {})["tb-offset"] == GHZ // 2


def test_without_the_virtual_clock_a_timebase_that_falls_has_fallen_to_it() -> None:
    assert inferred(400, 30, clock_ns=None).strategy == "tb-write-dropped"
    assert inferred(400, -401, clock_ns=None).strategy == "none"
    assert inferred(1000, -1001, clock_ns=None).strategy == "none"


def test_the_residual_is_that_of_the_reading_that_is_worst_explained() -> None:
    found = inferred(1100, -63)
    assert (found.strategy, found.residual_ticks) == ("tb-offset", 7)
    others = found.others or {}
    assert (others["absolute"], others["absolute-frozen-tb"], others["none"]) == (93, 100, 938)


def test_a_reading_is_rounded_down_and_both_roundings_are_exact() -> None:
    """100 ns at 16.6 MHz are 1.66 ticks."""
    for tb, decr in ((1001, 29), (1002, 28)):
        assert inferred(tb, decr, clock_ns=None, hz=16_600_000).residual_ticks == 0
    assert inferred(1005, 25, clock_ns=None, hz=16_600_000).residual_ticks == 3


def test_of_decr_what_was_not_recorded_says_nothing() -> None:
    found = inferred(1100, None)
    assert {"absolute", "tb-offset"} <= {found.strategy, *found.ties}
    assert "absolute-frozen-tb" in (found.others or {})


def test_a_blackout_of_nothing_shows_nothing() -> None:
    found = inferred(1000, 30, blackout=0)
    assert {"absolute", "absolute-frozen-tb", "tb-offset"} <= {found.strategy, *found.ties}


def test_decr_is_compared_in_its_width() -> None:
    """-TB - 1 of a TB of 5 000 000 000, in 32 bits: -5 000 000 001 + 2^32."""
    tb = 5 * GHZ
    before = Moment.of(stop(50, tb=tb, decr=[30], clock_ns=tb), ("s", 1))
    after = Moment.of(resume(150, tb=tb, decr=[-5_000_000_001 + (1 << 32)]), ("d", 1))
    assert infer(before, after, GHZ, 32).residual_ticks == 0


def test_the_worst_cpu_counts() -> None:
    before = Moment.of(stop(50, tb=1000, cpu_tb=[1000, 1000], decr=[30, 90]), ("s", 1))
    after = Moment.of(resume(150, tb=1100, cpu_tb=[1100, 1104], decr=[-70, -10]), ("d", 1))
    assert infer(before, after, GHZ, 32).residual_ticks == 4


def test_without_a_timebase_or_a_crossing_nothing_is_inferred() -> None:
    assert inferred(None, 30) == Inference()
    assert judged().as_dict()["inference"] == {"strategy": None, "residual_ticks": None, "ties": [], "others": {}}


def test_a_run_of_ours_keeps_the_strategy_asked_for_and_a_foreign_one_gets_the_inferred() -> None:
    frozen: list[dict[str, Any]] = [stop(50, decr=[30]), resume(150, tb=50, decr=[30])]
    ours = judged(*frozen, strategy="tb-offset").as_dict()
    foreign = judged(*frozen, strategy=None, engine="qemu").as_dict()
    assert (ours["strategy"], ours["inference"]["strategy"]) == ("tb-offset", "absolute-frozen-tb")
    assert foreign["strategy"] == "absolute-frozen-tb"


def test_cpus_that_were_loaded_one_after_the_other_are_known_by_their_distance() -> None:
    """20 us a CPU: 20,000 ticks."""
    before = Moment.of(stop(50, tb=90_000, cpu_tb=[90_000] * 3, decr=[30, 40, 50], clock_ns=90_000), ("s", 1))
    after = resume(150, tb=90_100, cpu_tb=[90_100, 70_100, 50_100], decr=[-70, 19_940, 39_950])
    found = infer(before, Moment.of(after, ("d", 1)), GHZ, 32)
    assert (found.strategy, found.residual_ticks, found.ties) == ("per-cpu-timebase", 0, ())
