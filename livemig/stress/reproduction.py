"""A failure as a file that ``livemig run`` takes, and as a story of what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.analysis.units import duration, instant
from livemig.config.write import scalar
from livemig.errors import OutputError
from livemig.stress.scenario import Scenario
from livemig.stress.trial import CRASHED, Signature, attempt

LOGS: Final = ("source.jsonl", "destination.jsonl")
_MARKS: Final = frozenset(
    {"machine_stopped", "machine_resumed", "machine_reset", "migration_state", "state_saved", "state_restored",
     "fault_injected"}
)  # fmt: skip
_ACTS: Final = frozenset({"timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced"})
_LONGEST: Final = 60


def config_text(scenario: Scenario, signature: Signature) -> str:
    """A line for each key, so that it is read at a glance, below one that says what it shows."""
    keys = sorted(_dotted(scenario.tables()))
    head = f"# {signature.check} fails under {signature.strategy}; the migration is {signature.status}.\n"
    return head + "".join(f"{key} = {scalar(value)}\n" for key, value in keys)


def _dotted(tables: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        dotted = f"{name}.{key}" if name else key
        if isinstance(value, Mapping):
            yield from _dotted(value, dotted)
        else:
            yield dotted, value


@dataclass(frozen=True, slots=True)
class Case:
    """A failure made small, on disk. ``config``: the file; ``story``: its timeline; ``runs``: where its logs are."""

    signature: Signature
    scenario: Scenario
    config: Path
    story: str
    runs: Path

    @property
    def command(self) -> str:
        """The shell line that shows it again."""
        return f"livemig run {self.config}"


def save(scenario: Scenario, signature: Signature, directory: Path) -> Case:
    """Write the configuration, its logs and its story to ``directory``, by a name made of ``signature``.

    Raises:
        OutputError: it cannot be written.
    """
    name = "-".join(signature).replace("_", "-")
    config, runs = directory / f"{name}.toml", directory / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        config.write_text(config_text(scenario, signature))
        seen = attempt(scenario, str(config), runs)
        told = seen.reason if CRASHED in seen.failed else "\n".join(story(judge(runs), runs))
        (directory / f"{name}.txt").write_text(told + "\n")
    except OSError as error:
        raise OutputError(error.filename or str(directory), error.strerror or str(error)) from error
    return Case(signature, scenario, config, told, runs)


def story(result: Result, runs: Path) -> list[str]:
    """What happened, line by line: who did what when, marked where a check points at it."""
    evidence: dict[tuple[str, int], list[str]] = {}
    said = []
    for name, verdict in result.checks.items():
        if verdict.word == "invalid":
            said.append(f"{name}: {verdict.reason}")
            for seen in verdict.evidence:
                evidence.setdefault((seen.file, seen.line), []).append(name)
    lines = [*said, ""]
    # of a line that is told twice, the longer
    told = {tuple(place): line for *place, line in sorted(_told(runs, evidence))}
    for number, line in enumerate(told.values()):
        if number == _LONGEST:
            lines.append(f"… and {len(told) - _LONGEST} more")
            break
        lines.append(line)
    return lines


def _told(runs: Path, evidence: Mapping[tuple[str, int], list[str]]) -> Iterator[tuple[int, int, int, str]]:
    """(t_ns, which log, line, text) of all that matters: what changes hands, what checks point at, and what each
    timer did last before the stop and first after the resume."""
    for which, name in enumerate(LOGS):
        last: dict[tuple[int, str], tuple[int, dict[str, Any]]] = {}
        first: set[tuple[int, str]] = set()
        for number, line in enumerate((runs / name).open("rb"), 1):
            event = json.loads(line)
            what, blamed = event["event"], evidence.get((name, number), [])
            if what in _ACTS:
                key = event["cpu"], event["timer"]
                last[key] = number, event
                if not blamed and (which == 0 or key in first or what == "timer_armed"):
                    continue
                first.add(key)
            elif what == "machine_stopped" and which == 0:
                for at, before in last.values():
                    yield before["t_ns"], which, at, _line(before, [])
            if blamed or what in _MARKS or what in _ACTS:
                yield event["t_ns"], which, number, _line(event, blamed)


def _line(event: Mapping[str, Any], blamed: list[str]) -> str:
    mark = f"   ◀ {', '.join(blamed)}" if blamed else ""
    return f"{instant(event['t_ns']):>14}  {event['side']:<11}  {_said(event)}{mark}"


def _said(event: Mapping[str, Any]) -> str:
    match event["event"]:
        case "timer_armed":
            due = "never" if event["deadline_ns"] is None else f"at {instant(event['deadline_ns'])}"
            return f"cpu {event['cpu']} {event['timer']} := {event['value']:,} ({event['cause']}), due {due}"
        case "interrupt" | "interrupt_masked" | "interrupt_coalesced" as what:
            word = {"interrupt": "interrupt", "interrupt_masked": "masked", "interrupt_coalesced": "coalesced"}[what]
            late = f", {duration(event['late_ns'])} late" if event["late_ns"] else ""
            return f"cpu {event['cpu']} {event['timer']} {word}, due at {instant(event['deadline_ns'])}{late}"
        case "machine_stopped" | "machine_resumed" as what:
            raised = [f"cpu {cpu} {' '.join(names)}" for cpu, names in enumerate(event["pending"]) if names]
            pending = f", pending: {', '.join(raised)}" if raised else ""
            return f"{what.replace('_', ' ')}: TB {event['tb']:,}, DECR {event['decr']}{pending}"
        case "migration_state":
            return f"migration {event['status']}" + (f": {event['reason']}" if event["reason"] else "")
        case "state_saved":
            return f"time saved by {event['strategy']}"
        case "state_restored":
            return f"time restored by {event['strategy']}: TB {event['tb_before']:,} → {event['tb_after']:,}"
        case "fault_injected":
            return f"fault: {event['fault']}" + (f" on {event['on']}" if event["on"] else "")
        case what:
            rest = {key: value for key, value in event.items() if key not in ("t_ns", "side", "event")}
            return f"{what.replace('_', ' ')}: {rest}"
