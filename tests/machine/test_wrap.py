"""A decrementer that goes round, from negative to positive, on a pair: where that matters, and where it does not.

0x80000000 is the most negative value, so 0x80000000 + n turns positive n + 1 ticks after it is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judged_pair import events, run_judged

from livemig.analysis.result import Result
from livemig.config.load import validated


def crossed(directory: Path, lines: str, trigger: str, wrap: str = "acts", hz: str = "1MHz", **run: Any) -> Result:
    config = {
        "run": {"duration": "40ms"} | run,
        "machine": {"timebase_hz": hz, "ram": "1MiB", "trigger": trigger, "wrap": wrap},
        "guest": {
            "kind": "script", "script": {"lines": lines}, "memory": {"dirty_rate": "0B/s", "filled_percent": 0},
        },
        "migration": {"start": "10ms", "downtime": "5ms"},
    }  # fmt: skip
    return run_judged(validated(config, "wrap"), directory)


def holds(result: Result) -> bool:
    """What the script expects is so, and no check objects; where no interrupt comes several have nothing to say."""
    return result.checks["guest_as_expected"].word == "valid" and result.verdict != "invalid"


EE_OFF = "; on decr; ee off"  # nobody writes DECR: its line stays up
DROPS = """
ee off
decr = 0x7fffffff
decr = 0x80000005
wait 5
expect decr reads -0x80000000..-0x80000000
wait 1
expect decr reads 0x7fffffff..0x7fffffff
ee on
wait 100
expect decr {}
decr = 0x7fffffff
on decr
decr = 0x7fffffff
"""


@pytest.mark.parametrize(
    ("trigger", "wrap", "interrupts"),
    [("level", "acts", 0), ("level", "ignored", 1), ("edge", "acts", 1), ("edge", "ignored", 1)],
)
def test_a_levels_interrupt_drops_with_the_sign_bit_and_an_edges_is_remembered(
    tmp_path: Path, trigger: str, wrap: str, interrupts: int
) -> None:
    result = crossed(tmp_path / "as it is", DROPS.format(interrupts), trigger, wrap)
    assert holds(result)
    assert result.interrupts.delivered == interrupts
    assert not holds(crossed(tmp_path / "not so", DROPS.format(1 - interrupts), trigger, wrap))


@pytest.mark.parametrize(("trigger", "interrupts"), [("level", 0), ("edge", 1)])
def test_it_goes_round_in_the_blackout_too(tmp_path: Path, trigger: str, interrupts: int) -> None:
    """Negative from 0 to 12 ms of the world; the guest is away from 10.2 to 15.2 ms."""
    lines = (
        f"ee off; decr = 1000; decr = {0x80000000 + 12_000}; wait 10ms; expect decr reads ..-1; wait 5ms; "
        f"expect decr reads 0..; ee on; wait 10; expect decr {interrupts}"
    )
    result = crossed(tmp_path, lines, trigger)
    assert holds(result)
    (stop,) = events(tmp_path, "machine_stopped")
    assert stop["pending"] == [["decr"]]
    assert 10_000_000 < stop["t_ns"] < 12_000_000


@pytest.mark.parametrize("trigger", ["level", "edge"])
@pytest.mark.parametrize(("wrap", "again"), [("acts", 1), ("ignored", 0)])
def test_half_a_round_after_it_went_positive_it_underflows_again(
    tmp_path: Path, trigger: str, wrap: str, again: int
) -> None:
    """At 1 GHz: written -2^31 at 0, positive from 1 ns on, 0 once more at 2^31 ns = 2.147 s of the world."""
    taken = 0 if trigger == "level" and wrap == "acts" else 1
    handlers = {"edge": "", "level": "; on decr; decr = 0x7fffffff" if wrap == "acts" else EE_OFF}
    lines = (
        "ee off; decr = 1000; decr = 0x80000000; wait 10; ee on; wait 1ms; "
        f"expect decr {taken}; wait 2.2s; expect decr {again}{handlers[trigger]}"
    )
    result = crossed(tmp_path, lines, trigger, wrap, "1GHz", duration="2.3s")
    assert holds(result)
    if wrap == "acts" and trigger == "level":
        (late,) = events(tmp_path, "interrupt", side="destination")[:1]
        assert late["t_ns"] == 1 << 31
