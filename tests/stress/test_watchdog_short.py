"""What a campaign draws as ``watchdog-short`` is a watchdog that barks because of the blackout, and does not reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from livemig.config.model import Config
from livemig.launch.in_process import run_kept
from livemig.launch.judged import judged
from livemig.stress.order import Order, plan_of

CAMPAIGN = str(Path(__file__).parents[2] / "configs" / "stress-small.toml")
NEAR_NS = 200_000
"""What handlers take, and more: nearer than this the model below does not say what comes first."""


def drawn(count: int) -> list[Config]:
    """The first ``count`` runs that have it, and nothing else."""
    plan, _ = plan_of(Order(CAMPAIGN, seed=5, faults=["watchdog-short"]))
    configs = (plan.drawn(number)[1] for number in range(1000))
    found = (config for config in configs if config.guest.kind == "embedded")
    return [next(found) for _ in range(count)]


def barks(config: Config, cpu: int, stop_ns: int) -> bool | None:
    """By hand: whether bit 20 of TB has risen since the CPU petted its watchdog last; None: it is too close to call."""
    firmware = config.guest.embedded
    rises = [((2**20 + k * 2**21) * 10**9) // config.machine.timebase_hz for k in range(20)]
    booted_ns = 10_000 + config.guest.boot_interval * cpu
    pets = [booted_ns + firmware.first + (2 * n - 1) * firmware.period for n in range(1, 50)]
    instants = sorted([(at, "rise") for at in rises] + [(at, "pet") for at in pets])
    before = [(at, what) for at, what in instants if at < stop_ns]
    near = [what for at, what in instants if abs(at - stop_ns) < NEAR_NS]
    (one_at, one), (other_at, other) = before[-2:]
    if near or (one != other and other_at - one_at < NEAR_NS):
        return None
    return other == "rise"


def events(config: Config) -> tuple[list[dict[str, Any]], str]:
    outcome, logs = run_kept(config)
    verdict = judged(config, outcome, logs).verdict
    return [orjson.loads(line) for entries in logs.values() for line in entries.text().splitlines()], verdict


def test_it_barks_at_the_resume_where_it_timed_out_since_it_was_petted_and_nothing_is_reset() -> None:
    foreseen = []
    for config in drawn(24):
        assert config.migration.downtime > 3 * 2**21 * 10**9 // config.machine.timebase_hz
        log, verdict = events(config)
        assert verdict == "valid"
        assert not [event for event in log if event["event"] == "machine_reset"]
        (stop_ns,) = [event["t_ns"] for event in log if event["event"] == "machine_stopped"]
        resume_ns = max(event["t_ns"] for event in log if event["event"] == "machine_resumed")
        barked = [event for event in log if event["event"] == "interrupt" and event["timer"] == "watchdog"]
        assert {event["side"] for event in barked} <= {"destination"}
        at_once = {event["cpu"] for event in barked if event["t_ns"] < resume_ns + NEAR_NS}
        for cpu in range(config.machine.cpus):
            expected = barks(config, cpu, stop_ns)
            if expected is not None:
                assert (cpu in at_once) == expected
                foreseen.append(expected)
    assert foreseen.count(True) >= 10
    assert foreseen.count(False) >= 10
