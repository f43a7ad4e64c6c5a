"""Mutants: a run under a strategy that is broken in one way makes exactly the right checks fail.

Real runs, by the pure machines; what must fail is worked out from what each mutant does to the guest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pure_pair import run_pure

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.config.model import Config
from livemig.launch import run_directory
from livemig.machine.cpu import TimerState
from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import Saved
from livemig.strategies.table import STRATEGIES
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.decrementer import Decrementer

MS = 1_000_000
Spoil = Callable[[TimeState], TimeState]


def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, **guest: object) -> Result:
    """A second of two CPUs with an interrupt every 10 ms; stopped at 208.4 ms, blackout 50 ms."""

    class Mutant(TbOffset):
        def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
            return spoil(super().restore(fresh, saved, host))

    monkeypatch.setitem(STRATEGIES, "tb-offset", Mutant())
    config = Config.model_validate(
        {
            "run": {"duration": "2s"},
            "machine": {"cpus": 2, "ram": "1MiB"},
            "guest": {"kind": "periodic", "periodic": {"period": "10ms"}, **guest},
            "migration": {"start": "200ms", "downtime": "50ms"},
        }
    )
    run_pure(config, tmp_path)
    ended = {"status": "completed", "owner": "destination", "reason": ""}
    run_directory.write(tmp_path, {**run_directory.manifest(config, "-"), "complete": True, "migration": ended})
    return judge(tmp_path)


def failed(result: Result) -> set[str]:
    return {name for name, verdict in result.checks.items() if verdict.word == "invalid"}


def right(time: TimeState) -> TimeState:
    return time


def frozen(time: TimeState) -> TimeState:
    """Time stands still over the blackout: TB is behind, and all interrupts are as late as it was long."""
    return replace(time, timebases=tuple(base.advanced(-50 * MS) for base in time.timebases))


def set_back(time: TimeState) -> TimeState:
    """As frozen, and 10 ms more: TB reads what it read before."""
    return replace(time, timebases=tuple(base.advanced(-60 * MS) for base in time.timebases))


def skewed(time: TimeState) -> TimeState:
    """CPU 1 is a millisecond ahead: its interrupt comes early by its own deadline, and TB differs between CPUs."""
    return replace(time, timebases=(time.timebases[0], time.timebases[1].advanced(MS)))


def moved(ticks: int) -> Spoil:
    def spoil(time: TimeState) -> TimeState:
        def each(state: TimerState) -> TimerState:
            return replace(state, count=Decrementer(state.count.expiry + ticks, state.count.armed))

        return replace(time, timers=tuple(map(each, time.timers)))

    return spoil


def forgotten(time: TimeState) -> TimeState:
    """The interrupt line is not restored (``pending-dropped``)."""
    return replace(time, timers=tuple(replace(s, pending=None, line=None) for s in time.timers))


def disarmed(time: TimeState) -> TimeState:
    """DECR reads right, but its timer is not started."""
    stopped = tuple(replace(s, count=s.count._replace(armed=False)) for s in time.timers)
    return replace(time, timers=stopped)


MUTANTS: dict[str, tuple[Spoil, set[str]]] = {
    "right": (right, set()),
    "frozen": (frozen, {"tb_continuous", "lateness_bounded"}),
    "set back": (set_back, {"tb_continuous", "tb_monotonic", "lateness_bounded"}),
    # due at 210 ms, 54 ms late: 6 ms after the resume. Moved by less it would fall into the blackout, and be excused
    "DECR too large": (moved(+900_000), {"decr_matches_tb", "lateness_bounded"}),
    "DECR too large, within the blackout": (moved(+500_000), {"decr_matches_tb"}),
    "disarmed": (disarmed, {"no_interrupt_lost"}),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_exactly_the_right_checks_fail(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, expected = MUTANTS[name]
    assert failed(judged(tmp_path, monkeypatch, spoil)) == expected


def test_a_cpu_ahead_of_the_others_is_early_and_its_tb_is_not_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a period of 100 ms nothing falls due in the blackout, so that early shows."""
    result = judged(tmp_path, monkeypatch, skewed, periodic={"period": "100ms"})
    assert failed(result) == {"tb_synchronised", "tb_monotonic", "none_early"}
    assert result.timebase.skew_ticks == 16_600  # a millisecond at 16.6 MHz


def test_decr_too_small_is_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = judged(tmp_path, monkeypatch, moved(-1_000), periodic={"period": "100ms"})
    assert failed(result) == {"decr_matches_tb", "none_early"}


def test_a_pending_interrupt_that_is_forgotten_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masked from 200 ms to 230 ms, the interrupt due at 210 ms is raised and masked when the guest stops."""
    masking = {"masked_every": "200ms", "masked_for": "30ms", "memory": {"dirty_rate": "0B/s"}}
    late_stop = {"periodic": {"period": "4ms"}}
    kept = judged(tmp_path, monkeypatch, right, **masking, **late_stop)
    assert failed(kept) == set()
    assert kept.checks["pending_preserved"].word == "valid"
    (tmp_path / "dropped").mkdir()
    dropped = judged(tmp_path / "dropped", monkeypatch, forgotten, **masking, **late_stop)
    assert failed(dropped) == {"pending_preserved", "no_interrupt_lost"}
    assert dropped.interrupts.lost == 2
