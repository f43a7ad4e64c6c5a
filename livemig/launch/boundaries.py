"""Every step of a crossing is a barrier; a deadline is put on it, a tick before and a tick after it: for every
strategy, every timer, edge and level, interrupts let in and masked. Exhaustive; docs/boundaries.md tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import orjson

from livemig.config.fault import Faults
from livemig.config.migration import TIME_POLICY
from livemig.config.model import Config
from livemig.config.presets import STRATEGIES
from livemig.emulator.timers import facility
from livemig.errors import UsageError
from livemig.launch.in_process import run_kept
from livemig.launch.probe import MASKED_NS, Probe, triggers
from livemig.launch.workers import workers
from livemig.strategies.order import LOAD_NS, SAVE_NS

OFFSETS: Final = (-1, 0, 1)
_TAIL_NS = 10_000_000
"""The run goes on for as long as two blackouts and this: what is late by one is seen."""
_ATTEMPTS = 8
"""The size of the state depends on the deadline by some bytes, and with it when it arrives."""


class Outcome(NamedTuple):
    """``word``: ``on time``, ``late``, ``early``, ``lost``, ``doubled``; ``ticks``: by how many it is late (or early)
    beyond what blackout and masking explain."""

    word: str
    ticks: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One deadline: ``offset`` ticks after the first tick that is not before ``barrier``. ``checks``: that failed."""

    strategy: str
    timer: str
    trigger: str
    masked: bool
    barrier: str
    offset: int
    outcome: Outcome
    checks: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """The interrupt came when it should, and no check has anything to say."""
        return self.outcome.word == "on time" and not self.checks

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "outcome": self.outcome.word, "ticks": self.outcome.ticks, "holds": self.holds}


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells. ``barriers``: by name, of the configuration's own strategy, ns of the run. ``own``: its name."""

    own: str
    barriers: dict[str, int]
    cells: list[Cell]

    @property
    def holds(self) -> bool:
        """The configuration's own strategy, wherever the deadline is."""
        return all(cell.holds for cell in self.cells if cell.strategy == self.own)

    def as_dict(self) -> dict[str, Any]:
        return {
            "strategy": self.own, "holds": self.holds, "barriers": self.barriers,
            "cells": [cell.as_dict() for cell in self.cells],
        }  # fmt: skip


def boundaries(
    config: Config,
    strategies: Sequence[str] = (),
    timers: Sequence[str] = (),
    announce: Callable[[str], None] = lambda what: None,
    jobs: int = 1,
) -> Matrix:
    """The matrix of these strategies and timers, or all; of the configuration machine, hosts, link and blackout count,
    guest and memory do not.

    Args:
        announce: told of each strategy when its first cells are there. jobs: processes; with one, none but this.

    Raises:
        UsageError: there is no strategy or timer of that name, or none can be put on the barriers.
    """
    there = [timer.name for timer in facility(config).timers]
    for kind, asked, known in (("strategy", strategies, STRATEGIES), ("timer", timers, there)):
        for name in asked:
            if name not in known:
                raise UsageError(f"boundaries: no {kind} {name!r} here (there are: {', '.join(known)})")
    own = config.migration.strategy
    chosen = [name for name in STRATEGIES if name in strategies or name == own or not strategies]
    lanes = [
        (_scenario(config, strategy, keys), timer, trigger)
        for strategy in chosen
        for timer in there
        if timer in timers or not timers
        for trigger, keys in triggers(config)
    ]
    cells: list[Cell] = []
    barriers: dict[str, int] = {}
    told: set[str] = set()
    for (scenario, _, _), (found, at) in zip(lanes, _all(lanes, jobs), strict=True):
        strategy = scenario.migration.strategy
        if strategy not in told:
            told.add(strategy)
            announce(strategy)
        cells += found
        if strategy == own and not barriers:
            barriers = at
    return Matrix(own, barriers, cells)


_Task = tuple[Config, str, str]


def _all(lanes: list[_Task], jobs: int) -> Iterator[tuple[list[Cell], dict[str, int]]]:
    if jobs == 1:
        yield from map(_cells_of, lanes)
        return
    with workers(jobs, ["livemig.launch.boundaries", "livemig.analysis.judge"]) as executor:
        yield from executor.map(_cells_of, lanes)


def _cells_of(task: _Task) -> tuple[list[Cell], dict[str, int]]:
    scenario, timer, trigger = task
    lane = _Lane(scenario, timer)
    return list(lane.cells(scenario.migration.strategy, trigger)), lane.barriers


def _scenario(config: Config, strategy: str, keys: dict[str, object]) -> Config:
    """``config`` with all that is not looked at left out."""
    migration = config.migration.model_copy(update={
        "strategy": strategy, "hops": 1, "postcopy_ram": False, "transport": "unix", "cancel_at": 0,
        "pause_before_switchover": False,
        "save_step": config.migration.save_step or SAVE_NS, "load_step": config.migration.load_step or LOAD_NS,
    })  # fmt: skip
    memory = config.guest.memory.model_copy(update={"dirty_rate": 0, "filled_percent": 0})
    guest = config.guest.model_copy(update={"kind": "script", "memory": memory, "masked_every": 0, "masked_for": 0})
    return config.model_copy(update={
        "machine": config.machine.model_copy(update={"ram": 1 << 16, **keys}),
        "guest": guest,
        "migration": migration,
        "run": config.run.model_copy(update={"clock": "virtual"}),
        "link": config.link.model_copy(update={"cut_at": 0, "cut_again_at": 0}),
        "fault": Faults(),
        "checks": config.checks.model_copy(update={"twin": False, "late_tolerance": 0}),
    })  # fmt: skip


class _Run(NamedTuple):
    """What is seen of a run: its barriers, when it stopped and resumed, when each CPU took its interrupts (ns of the
    run), and the checks that failed."""

    barriers: dict[str, int]
    stop_ns: int
    resume_ns: int
    taken_ns: list[list[int]]
    checks: tuple[str, ...]


_TOLD: Final = (b'"interrupt"', b'"state_saved"', b'"state_restored"', b'"machine_stopped"', b'"machine_resumed"')


def _run(config: Config, timer: str) -> _Run:
    """Run it, in memory, and judge it."""
    from livemig.launch.judged import judged

    outcome, logs = run_kept(config)
    if outcome.status != "completed":
        raise UsageError(f"boundaries: the guest does not cross: {outcome.status} {outcome.reason}".rstrip())
    result = judged(config, outcome, logs)
    return _seen((entries.text() for entries in logs.values()), config.machine.cpus, timer, result.failed)


def _seen(logs: Iterable[bytes], cpus: int, timer: str, failed: tuple[str, ...]) -> _Run:
    barriers: dict[str, int] = {}
    taken_ns: list[list[int]] = [[] for _ in range(cpus)]
    stop_ns = resume_ns = 0
    lines = (line for log in logs for line in log.splitlines() if any(told in line for told in _TOLD))
    for event in map(orjson.loads, lines):
        match event["event"]:
            case "state_saved" | "state_restored":
                barriers |= event["barriers"]
            case "machine_stopped":
                stop_ns = event["t_ns"]
            case "machine_resumed":
                resume_ns = event["t_ns"]
            case "interrupt" if event["timer"] == timer:
                taken_ns[event["cpu"]].append(event["t_ns"])
    return _Run(barriers, stop_ns, resume_ns, taken_ns, failed)


class _Lane:
    """One timer under one strategy."""

    def __init__(self, config: Config, timer: str) -> None:
        self._config, self._timer = config, timer
        long_ns = 4 * (config.migration.downtime + _TAIL_NS)
        idle = self._crossed("wait 1", 0, _TAIL_NS, _TAIL_NS + long_ns)
        blackout_ns = idle.resume_ns - idle.stop_ns
        self._probe = Probe(config, timer, blackout_ns)
        start_ns = self._probe.start_ns
        self._first = self._crossed("wait 1", 0, start_ns, start_ns + long_ns)
        self._duration_ns = self._first.resume_ns + 2 * blackout_ns + _TAIL_NS
        self._known: dict[tuple[int, bool], _Run] = {}

    @property
    def barriers(self) -> dict[str, int]:
        """In the order in which they are come to."""
        return self._barriers(self._first, False)

    def _barriers(self, run: _Run, masked: bool) -> dict[str, int]:
        """Where the guest masks interrupts, and lets them in again, those are two more."""
        own = {"mask": self._masked_ns, "unmask": run.resume_ns + self._masked_on(run)} if masked else {}
        return dict(sorted({**run.barriers, **own}.items(), key=lambda item: item[1]))

    def cells(self, strategy: str, trigger: str) -> Iterator[Cell]:
        for masked in (False, True):
            for barrier in self._barriers(self._first, masked):
                for offset in OFFSETS:
                    deadline, run = self._at(barrier, offset, masked)
                    outcome = self._outcome(deadline, masked, run)
                    yield Cell(strategy, self._timer, trigger, masked, barrier, offset, outcome, run.checks)

    def _at(self, barrier: str, offset: int, masked: bool) -> tuple[int, _Run]:
        """A run whose deadline is at that tick, and the deadline."""
        at_ns = self._barriers(self._first, masked)[barrier]
        for _ in range(_ATTEMPTS):
            deadline = self._probe.tick(at_ns) + offset
            run = self._known.get((deadline, masked))
            if run is None:
                run = self._known[deadline, masked] = self._run(deadline, masked)
            at_ns = self._barriers(run, masked)[barrier]
            if self._probe.tick(at_ns) + offset == deadline:
                return deadline, run
        raise UsageError(f"boundaries: no deadline stays {offset:+d} ticks from {barrier}: it moves with the deadline")

    def _run(self, deadline: int, masked: bool) -> _Run:
        probe = self._probe
        lines = probe.lines(deadline, self._first.stop_ns, masked)
        return self._crossed(lines, probe.sets_timebase(deadline), probe.start_ns, self._duration_ns)

    def _crossed(self, lines: str, sets_timebase: int, start_ns: int, duration_ns: int) -> _Run:
        config = self._config
        script = config.guest.script.model_copy(update={"lines": lines})
        guest = config.guest.model_copy(update={"script": script, "sets_timebase": sets_timebase})
        return _run(
            config.model_copy(update={
                "guest": guest,
                "migration": config.migration.model_copy(update={"start": start_ns}),
                "run": config.run.model_copy(update={"duration": duration_ns}),
            }),
            self._timer,
        )  # fmt: skip

    def _outcome(self, deadline: int, masked: bool, run: _Run) -> Outcome:
        """Of the CPU that fares worst, by the world's clock alone: neither TB nor the judge is asked."""
        due_ns = self._probe.instant_ns(deadline)
        if due_ns >= run.stop_ns:
            blackout_ns = run.resume_ns - run.stop_ns
            limit_ns = TIME_POLICY.at_most_ns(self._config.migration.time_policy)
            passes_ns = blackout_ns if limit_ns is None else min(blackout_ns, limit_ns)
            due_ns = max(due_ns + blackout_ns - passes_ns, run.resume_ns)
        if masked and due_ns >= self._masked_ns:
            due_ns = max(due_ns, run.resume_ns + self._masked_on(run))
        tick_ns = -(-1_000_000_000 // self._probe.hz)
        found = [_outcome_of(due_ns, taken, tick_ns, self._probe.hz) for taken in run.taken_ns]
        return max(found, key=lambda outcome: (_WORST.index(outcome.word), abs(outcome.ticks)))

    @property
    def _masked_ns(self) -> int:
        """When the guest masks interrupts."""
        return self._probe.instant_ns(self._probe.tick(self._first.stop_ns - MASKED_NS))

    def _masked_on(self, run: _Run) -> int:
        """For how much of guest time after the resume interrupts stay masked."""
        return self._masked_ns + 2 * MASKED_NS - run.stop_ns


_WORST: Final = ("on time", "late", "early", "doubled", "lost")


def _outcome_of(due_ns: int, taken_ns: list[int], tick_ns: int, hz: int) -> Outcome:
    if not taken_ns:
        return Outcome("lost")
    if len(taken_ns) > 1:
        return Outcome("doubled", len(taken_ns) - 1)
    by_ns = taken_ns[0] - due_ns
    if abs(by_ns) <= tick_ns:  # a guest that is resumed between two edges acts at the next one
        return Outcome("on time")
    ticks = (abs(by_ns) * hz + 500_000_000) // 1_000_000_000
    return Outcome("late" if by_ns > 0 else "early", ticks)
