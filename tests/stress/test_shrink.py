"""Shrinking finds the few settings that matter, whatever else was drawn."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from livemig.stress.scenario import Scenario
from livemig.stress.shrink import Shrinker, rounder
from livemig.stress.trial import Signature, Trial

WANTED = Signature("no_interrupt_lost", "none", "completed")
DRAWN: dict[str, Any] = {
    "migration.strategy": "none",
    "run.seed": 88123,
    "machine.cpus": 4,
    "machine.model": "pseries",
    "guest.kind": "linux",
    "guest.masked_every": "37123us",
    "guest.masked_for": "11003us",
    "migration.downtime": "123457us",
    "link.latency": "777us",
    "link.jitter": "9us",
}


def fails_if(needed: frozenset[str], least_cpus: int) -> Any:
    """A model of a bug that takes ``needed`` keys and so many CPUs; counts the runs."""

    def run(scenario: Scenario, file: str) -> Trial:
        settings = scenario.settings
        broken = needed <= settings.keys() and int(settings.get("machine.cpus", 1)) >= least_cpus
        failed = ("no_interrupt_lost",) if broken else ()
        return Trial(0, settings, "none", "invalid" if broken else "valid", failed, "completed", "destination", "")

    return run


KEYS = sorted(DRAWN.keys() - {"migration.strategy", "run.seed", "machine.cpus", "guest.masked_for"})


@given(st.frozensets(st.sampled_from(KEYS), max_size=3), st.integers(1, 4))
def test_what_is_left_is_what_the_failure_needs(needed: frozenset[str], least_cpus: int) -> None:
    shrinker = Shrinker("-", WANTED, budget=500, run=fails_if(needed, least_cpus))
    small = shrinker.shrink(Scenario({}, DRAWN)).settings
    kept = set(small) - {"migration.strategy"}
    assert kept == needed | ({"machine.cpus"} if least_cpus > 1 else set())
    if least_cpus > 1:
        assert small["machine.cpus"] == least_cpus


def test_the_base_shrinks_too_and_numbers_get_rounder() -> None:
    shrinker = Shrinker("-", WANTED, budget=500, run=fails_if(frozenset({"migration.downtime"}), 1))
    base = {"guest": {"kind": "linux"}, "migration": {"downtime": "123457us", "strategy": "none"}}
    small = shrinker.shrink(Scenario(base, {"link.latency": "5ms"}))
    assert small.tables() == {"migration": {"downtime": "0ns", "strategy": "none"}}


def test_the_budget_is_kept() -> None:
    shrinker = Shrinker("-", WANTED, budget=5, run=fails_if(frozenset({"link.jitter"}), 1))
    assert shrinker.run(shrinker.shrink(Scenario({}, DRAWN)), "-").signature == WANTED
    assert shrinker.spent <= 5


def test_rounder_by_hand() -> None:
    assert list(rounder(123_457)) == [0, 100_000, 120_000]
    assert list(rounder(20)) == [0]
    assert list(rounder(0)) == []
