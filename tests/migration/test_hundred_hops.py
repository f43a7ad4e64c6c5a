"""A hundred hops on every machine model: what holds leaves no drift, what loses a little at each adds up as predicted.

The blackout is 3.000007 ms, at no model's frequency a whole number of ticks, so that whoever rounds at a hop shows it.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from livemig.analysis.result import Result
from livemig.config.model import Config
from livemig.launch.in_process import run_kept
from livemig.launch.judged import judged

HOPS, BLACKOUT_NS = 100, 3_000_007
GUESTS = {"ppc405": "embedded", "e500": "embedded", "powernv": "hypervisor"}
MODELS = ["g3beige", "mac99", "pseries", "powernv", "ppc405", "e500"]


def crossed(model: str, strategy: str, policy: str = "advance") -> Result:
    config = Config.model_validate(
        {
            "run": {"duration": "40ms"},
            "machine": {"model": model, "cpus": 2, "ram": "1MiB"},
            "guest": {
                "kind": GUESTS.get(model, "periodic"), "hypervisor": {"guest": "periodic"},
                "periodic": {"period": "2ms"}, "embedded": {"period": "5ms", "first": "5ms", "fit": False},
                "memory": {"dirty_rate": "0B/s", "filled_percent": 0},
            },
            "migration": {
                "strategy": strategy, "time_policy": policy, "start": "5ms", "downtime": f"{BLACKOUT_NS}ns",
                "hops": HOPS, "hop_interval": "7ms",
            },
        }
    )  # fmt: skip
    outcome, logs = run_kept(config)
    assert outcome.owner == "source"  # an even number of hops
    return judged(config, outcome, logs)


def test_the_blackout_is_whole_ticks_nowhere() -> None:
    for model in MODELS:
        hz = Config.model_validate({"machine": {"model": model}, "guest": {"kind": GUESTS.get(model, "periodic")}})
        assert BLACKOUT_NS * hz.machine.timebase_hz % 10**9


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("strategy", "policy"), [("tb-offset", "advance"), ("absolute-frozen-tb", "freeze")])
def test_what_holds_leaves_no_drift_on_any_machine(model: str, strategy: str, policy: str) -> None:
    result = crossed(model, strategy, policy)
    assert result.verdict == "valid"
    assert len(result.hops) == HOPS
    assert {hop.drift for hop in result.hops} <= {-1, 0, 1}  # of two readings, each rounded down
    assert {ticks for hop in result.hops for ticks in (hop.decr or {}).values()} <= {0}
    assert sum(hop.stayed + hop.tb for hop in result.hops) == result.hops[-1].drift


@pytest.mark.parametrize("model", ["g3beige", "pseries"])
def test_rounding_up_to_2_to_the_24_adds_up(model: str) -> None:
    """Each hop brings the offset to the bare clock to a multiple of 2^24; the blackout takes it off one again, by its
    ticks: what a hop adds is the rest."""
    result = crossed(model, "kvm-tbu40")
    hz = 16_600_000 if model == "g3beige" else 512_000_000
    expected = HOPS * (2**24 - Fraction(BLACKOUT_NS * hz, 10**9))
    assert abs(result.hops[-1].drift - expected) <= 2
    assert result.checks["drift_bounded"].word == "invalid"
    assert "the errors add up" in result.checks["drift_bounded"].reason


def test_a_tick_rounded_away_at_a_hop_adds_up() -> None:
    """At 16.6 MHz a tick is 5000/83 ns: TB is a whole number of ns once in 83 hops, and else loses one each time."""
    result = crossed("g3beige", "round-down")
    assert -HOPS <= result.hops[-1].drift <= -HOPS + 6
    assert result.checks["tb_continuous"].word == "valid"  # no hop alone is further off than a tick
    assert result.checks["drift_bounded"].word == "invalid"


def test_a_frozen_clock_adds_its_blackouts_where_time_was_to_go_on() -> None:
    result = crossed("mac99", "absolute-frozen-tb")
    assert abs(result.hops[-1].drift + HOPS * Fraction(BLACKOUT_NS * 25_000_000, 10**9)) <= 1
    assert result.checks["drift_bounded"].word == "invalid"
