"""From the two logs of a QEMU pair to a run directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from livemig import __version__
from livemig.errors import InputError, OutputError
from livemig.events.qemu.cpu import BITS, Cpu
from livemig.events.qemu.cpus import cpus_of
from livemig.events.qemu.facts import Facts
from livemig.events.qemu.frequency import on_the_destination
from livemig.events.qemu.history import History, Plan
from livemig.events.qemu.roles import Roles, last_burst, roles
from livemig.events.qemu.standstill import CLOSE_NS, Standstill, at_resume, at_stop, zero_ns
from livemig.events.qemu.survey import Survey, survey
from livemig.events.qemu.trace import TraceLog
from livemig.events.schema import DESTINATION, SCHEMA_VERSION, SOURCE

LATE_TOLERANCE_NS: Final = 20_000_000
"""At least: QEMU's timers run in its main thread, which even an idle host delays by milliseconds."""
LOST_AFTER_NS: Final = 1_000_000_000
_MOST_CPUS: Final = 4096
_LEVEL: Final = ("pseries", "powernv")
"""Machines with CPUs whose DECR raises while it is negative; the others' raises when it turns negative."""
_LEVEL_HZ: Final = 512_000_000
"""The timebase of those machines, and of no other of QEMU's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """``time_policy``: advance, freeze, advance-at-most and its time, or None: not known. ``run_toml``: what is known
    of the run, if anything. ``late_tolerance_ns``: lateness that is no fault; None: as late as the host already was on
    the source before the migration, :data:`LATE_TOLERANCE_NS` at least."""

    timebase_hz: int
    run_toml: Path | None = None
    late_tolerance_ns: int | None = None
    time_policy: str | None = None
    advance_at_most_ns: int | None = None


@dataclass(slots=True)
class _Side:
    """One log, after it was surveyed."""

    log: TraceLog
    found: Survey
    who: Roles

    @classmethod
    def of(cls, path: Path) -> _Side:
        log = TraceLog(path)
        found = survey(log)
        return cls(log, found, roles(found))

    def counts(self) -> dict[str, Any]:
        log = self.log
        return {
            "file": log.path.name,
            "lines": log.lines,
            "not_understood": log.not_understood,
            "first_places": log.places,
            "out_of_order": log.out_of_order,
        }


def import_qemu(source: Path, destination: Path, out: Path, wanted: Wanted) -> dict[str, Any]:
    """Write the run directory ``out``, whole or not at all; gives what is in its run.json.

    Raises:
        InputError: a log or the run.toml cannot be read, or shows no run.
        OutputError: ``out`` is there and not empty, or cannot be written.
    """
    facts = Facts(wanted.run_toml)
    noted_hz = facts.integer("timebase_hz")
    if noted_hz not in (None, wanted.timebase_hz):
        raise InputError(str(facts.path), f"timebase_hz is {noted_hz}, but {wanted.timebase_hz} was given")
    if source == destination:
        raise InputError(str(source), "given as both the source's log and the destination's")
    importing = _Import(_Side.of(source), _Side.of(destination), facts, wanted)
    with _new_directory(out) as directory:
        _write_lines(directory / "source.jsonl", importing.source_events())
        _write_lines(directory / "destination.jsonl", importing.destination_events())
        manifest = importing.manifest()
        (directory / "run.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    return manifest


class _Import:
    """The two histories, the destination's after the source's, and what is to be said of them."""

    def __init__(self, source: _Side, destination: _Side, facts: Facts, wanted: Wanted) -> None:
        self.source, self.destination, self.facts, self.wanted = source, destination, facts, wanted
        hz = wanted.timebase_hz
        self.model = facts.text("machine")
        self.level = hz == _LEVEL_HZ if self.model is None else self.model.startswith(_LEVEL)
        self.cpus = [Cpu(index) for index in range(cpu_count(source.who, facts))]
        count = len(self.cpus)
        self.stop = at_stop(source.found, source.who, facts, hz, count)
        if self.stop is None:
            raise InputError(str(source.log.path), "no guest in it: no thread acts as a vCPU does")
        self.there_hz = self._there_hz()
        self.resume = at_resume(destination.found, destination.who, facts, self.stop.t_us, self.there_hz, count)
        self.threads, self.confirmed = cpus_of(destination.who.vcpus, self.resume, self.there_hz, count)
        self.origin_us = min(source.found.first_us, destination.found.first_us)
        self.histories: list[History] = []

    def _there_hz(self) -> int:
        found, hz = self.destination.found, self.wanted.timebase_hz
        ran = found.first_run_us or 0, found.next_stop_us or found.last_us
        noted = self.facts.integer("destination_timebase_hz")
        return noted or on_the_destination(self.destination.who, hz, *ran)

    def source_events(self) -> Iterator[dict[str, Any]]:
        side, stop = self.source, self.stop
        assert stop is not None
        mapping = {thread.tid: index for index, thread in enumerate(side.who.vcpus)}
        end_us = max(side.found.last_us, stop.t_us)
        taken = self.facts.text("decr_interrupt_at_stop") == "taken, handler not finished"
        # Stopped, and then run again: the guest did not cross, and the end of its log is no stop.
        went_on = side.found.next_stop_us is not None and side.found.last_stop_us is None
        here = None if went_on else stop
        return self._told(SOURCE, side, mapping, here, end_us, pending=not taken, went_on=went_on)

    def destination_events(self) -> Iterator[dict[str, Any]]:
        side, resume = self.destination, self.resume
        end_us = side.found.last_us
        if resume is not None:
            observed_us = self.facts.microseconds("ran_on_destination_after_s", "destination_observed_s")
            if observed_us is not None and side.who.first_act_us is None and side.found.next_stop_us is None:
                end_us = max(end_us, resume.t_us + observed_us)  # It was watched, and nothing came.
            end_us = max(end_us, resume.t_us)
        return self._told(DESTINATION, side, self.threads, resume, end_us)

    def _told(
        self,
        name: str,
        side: _Side,
        mapping: dict[int, int],
        here: Standstill | None,
        end_us: int,
        pending: bool = True,
        went_on: bool = False,
    ) -> Iterator[dict[str, Any]]:
        hz = self.wanted.timebase_hz if name == SOURCE else self.there_hz
        plan = Plan(
            side=name,
            origin_us=self.origin_us,
            hz=hz,
            level=self.level,
            cpu_of=mapping,
            savers=frozenset(thread.tid for thread in side.who.savers),
            zero_ns=zero_ns((reading for thread in side.who.vcpus for reading in thread.tb), hz),
            standstill=here,
            starts=side.who.starts(side.found.first_run_us),
            end_us=end_us,
            went_on=went_on,
        )
        history = History(plan, self.cpus, pending)
        self.histories.append(history)
        return history.told(side.log)

    def manifest(self) -> dict[str, Any]:
        """``run.json``, when both histories were told."""
        facts, wanted = self.facts, self.wanted
        ram_mib = facts.integer("ram_mib")
        crossed = self.resume is not None
        return {
            "schema": SCHEMA_VERSION,
            "complete": True,
            "livemig": __version__,
            "engine": "qemu",
            "seed": None,
            "strategy": None,
            "machine": {
                "model": self.model or "unknown",
                "cpus": len(self.cpus),
                "ram_bytes": None if ram_mib is None else ram_mib << 20,
                "timebase_hz": wanted.timebase_hz,
                "decrementer_bits": BITS,
                "trigger": "level" if self.level else "edge",
                "underflow_at": "zero",
            },
            "judge": self._rule(),
            "migration": {
                "status": facts.text("status") or ("completed" if crossed else None),
                "owner": DESTINATION if crossed else SOURCE,
                "reason": None,
            },
            "facts": facts.verbatim,
            "import": self._account(),
        }

    def _rule(self) -> dict[str, Any]:
        facts, ends = self.facts, [end for end in (self.stop, self.resume) if end is not None]
        downtime_us = None if facts.live else facts.microseconds("downtime_requested_s")
        limit_us = facts.microseconds("downtime_limit_ms", unit=1000)
        return {
            "time_policy": self.wanted.time_policy,
            "advance_at_most_ns": self.wanted.advance_at_most_ns,
            "clock": "wall",
            "late_tolerance_ns": self._late_tolerance_ns(),
            "timebase_tolerance_ns": max(CLOSE_NS, *(end.unsure_ns for end in ends)),
            "lost_after_ns": LOST_AFTER_NS,
            "downtime_ns": None if downtime_us is None else 1000 * downtime_us,
            "downtime_limit_ns": None if limit_us is None else 1000 * limit_us,
        }

    def _late_tolerance_ns(self) -> int:
        given = self.wanted.late_tolerance_ns
        worst = max((history.late_before_ns for history in self.histories), default=0)
        return max(LATE_TOLERANCE_NS, worst) if given is None else given

    def _account(self) -> dict[str, Any]:
        sides = {SOURCE: self.source.counts(), DESTINATION: self.destination.counts()}
        threads = {index: tid for tid, index in self.threads.items()}
        vcpus = self.source.who.vcpus
        return {
            "lines": sum(side["lines"] for side in sides.values()),
            "not_understood": sum(side["not_understood"] for side in sides.values()),
            "first_places": [f"{side['file']}:{line}" for side in sides.values() for line in side["first_places"]],
            **sides,
            "origin_us": self.origin_us,
            "destination_timebase_hz": self.there_hz,
            "stopped_by": None if self.stop is None else self.stop.by,
            "resumed_by": None if self.resume is None else self.resume.by,
            "cpus": [
                {
                    "source_thread": vcpus[index].tid if index < len(vcpus) else None,
                    "destination_thread": threads.get(index),
                    "matched_by": "DECR" if index in self.confirmed else "order" if index in threads else None,
                }
                for index in range(len(self.cpus))
            ],
            "guessed": [] if self.model else ["machine.trigger, from the frequency of the timebase"],
            "interrupts_unplaced": sum(history.unplaced for history in self.histories),
            "interrupts_before_the_first_arm": sum(history.before_first_arm for history in self.histories),
        }


def cpu_count(who: Roles, facts: Facts) -> int:
    """By the run.toml, the threads, or how many DECRs were saved; whichever shows most."""
    saved = max((len(last_burst(thread.decr)) for thread in who.savers), default=0)
    noted = facts.integer("vcpus") or 1
    if noted > _MOST_CPUS:
        raise InputError(str(facts.path), f"vcpus: {noted}, needed: at most {_MOST_CPUS}")
    return max(noted, len(who.vcpus), saved)


def _write_lines(path: Path, events: Iterable[dict[str, Any]]) -> None:
    with path.open("wb", buffering=1 << 18) as file:
        file.writelines(orjson.dumps(event) + b"\n" for event in events)


@contextmanager
def _new_directory(out: Path) -> Iterator[Path]:
    """A directory beside ``out`` that takes its name when all went well, and vanishes else."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(str(out), "exists and is not empty; a run needs a directory of its own")
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    except OSError as error:
        raise OutputError(str(out), error.strerror or str(error)) from error
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        os.replace(temporary, out)
    except OSError as error:
        raise OutputError(str(out), error.strerror or str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
