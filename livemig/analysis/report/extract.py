"""What the page shows of a run, read from its logs in one more pass after the judge's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livemig.analysis.account import Account
from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Log, merged
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import Observer, close, observe
from livemig.analysis.policy import TimePolicy
from livemig.analysis.report.drift import Drift
from livemig.analysis.report.lateness import EDGES, Lateness
from livemig.analysis.report.phases import Phases
from livemig.analysis.report.story import OUTCOMES, Arc, Story
from livemig.analysis.report.thinning import LIMIT, Thinned
from livemig.analysis.result import Result
from livemig.events.schema import DESTINATION, SOURCE

EXACT = 1 << 53
"""From here on a JavaScript number is not exact: such an integer goes as text."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One pass over the logs of a run; ``end_ns`` is their last event."""

    crossing: Crossing
    phases: Phases
    drift: Drift
    end_ns: int


def follow(
    directory: Path,
    manifest: Manifest,
    tell: Callable[[Arc], None],
    turned: Callable[[], None] = lambda: None,
    names: tuple[str, str] = (SOURCE, DESTINATION),
) -> Followed:
    """Read the logs of ``directory``.

    Args:
        tell: gets every arc at its end. turned: called at every stop and resume.
        names: of the logs; what is not there has no events.

    Raises:
        InputError: a log is malformed.
    """
    with ExitStack() as files:

        def log(name: str, side: str) -> Log:
            path = directory / f"{name}.jsonl"
            return Log(str(path), side, files.enter_context(path.open("rb")) if path.exists() else ())

        source, destination, crossing = log(names[0], SOURCE), log(names[1], DESTINATION), Crossing()
        policy = TimePolicy(manifest, crossing)
        story = Story(Account(manifest, crossing, policy), tell)
        phases, drift = Phases(crossing, turned), Drift(manifest.machine.timebase_hz, crossing)
        observers: Sequence[Observer] = (crossing, policy, story, phases, drift)
        crashed = observe(merged(source, destination), observers, str(directory))
        ends = {log.side: log.last_ns or 0 for log in (source, destination)}
        stopped = crossing.stop if crossing.running is None else None
        close(observers, ends[crossing.owner] if stopped is None else stopped.t_ns, crashed)
    return Followed(crossing, phases, drift, max(ends.values()))


def run_data(directory: Path, result: Result, limit: int = LIMIT) -> dict[str, Any]:
    """Everything that the charts of one run are drawn from: JSON values, times in integer ns of the world.

    Args:
        limit: about how many arcs away from trouble are kept one by one.

    Raises:
        InputError: a log is malformed.
    """
    evidence = frozenset((seen.file, seen.line) for verdict in result.checks.values() for seen in verdict.evidence)
    thinned = Thinned(result.interrupts.armed + result.interrupts.doubled, evidence, limit)
    lateness = Lateness()

    def tell(arc: Arc) -> None:
        thinned.tell(arc)
        lateness.tell(arc)

    followed = follow(directory, result.manifest, tell, thinned.everywhere)
    machine = result.manifest.machine
    return {
        "hz": machine.timebase_hz,
        "cpus": machine.cpus,
        "endNs": followed.end_ns,
        "pauses": followed.phases.pauses,
        "passes": followed.phases.passes,
        "states": followed.phases.states,
        "drift": followed.drift.points,
        "lateness": {
            "edges": EDGES,
            "counts": [[bin, outcome, count] for (bin, outcome), count in sorted(lateness.counts.items())],
            "lost": result.interrupts.lost,
        },
        "total": thinned.total,
        "stride": thinned.stride,
        "density": {
            "shift": thinned.density.shift,
            "counts": {str(cpu): sorted(bins.items()) for cpu, bins in sorted(thinned.density.counts.items())},
        },
        "arcs": columns(thinned.kept),
    }


def columns(arcs: list[Arc]) -> dict[str, Any]:
    """Arcs as one list a field: ``due`` counts from ``arm`` (both null where there was none), ``end`` is absolute.

    ``armedAt`` and ``endedAt`` are places in ``files``; line 0 where there is none.
    """
    ordered = sorted(arcs, key=lambda arc: (arc.cpu, arc.end_ns))
    timers = sorted({arc.timer for arc in arcs})
    files = sorted({place[0] for arc in arcs for place in (arc.armed_at, arc.ended_at) if place is not None})

    def at(field: str) -> dict[str, list[int]]:
        places = [getattr(arc, field) for arc in ordered]
        return {
            "file": [0 if place is None else files.index(place[0]) for place in places],
            "line": [0 if place is None else place[1] for place in places],
        }

    return {
        "timers": timers,
        "files": files,
        "outcomes": OUTCOMES,
        "cpu": [arc.cpu for arc in ordered],
        "timer": [timers.index(arc.timer) for arc in ordered],
        "outcome": [OUTCOMES.index(arc.outcome) for arc in ordered],
        "arm": [arc.armed_ns for arc in ordered],
        "due": [None if arc.due_ns is None or arc.armed_ns is None else arc.due_ns - arc.armed_ns for arc in ordered],
        "end": [arc.end_ns for arc in ordered],
        "value": [exact(arc.value) for arc in ordered],
        "armedAt": at("armed_at"),
        "endedAt": at("ended_at"),
    }


def exact(value: int | None) -> int | str | None:
    """An integer as JavaScript can read it without rounding."""
    return value if value is None or -EXACT < value < EXACT else str(value)
