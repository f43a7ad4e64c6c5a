"""``run.json``: what the launcher knows of a run, as far as a judge needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from livemig.errors import InputError

SCHEMA: Final = 1
ADVANCE: Final = "advance"
FREEZE: Final = "freeze"
AT_MOST: Final = "advance-at-most"
"""Before a colon and a time."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The guest's. ``trigger``: DECR raises when its sign bit turns 1 (edge), or while it is 1 (level); or a status
    register says what is pending (status). ``stops_at_zero``: it reads 0 when it has run out."""

    model: str
    cpus: int
    timebase_hz: int
    decrementer_bits: int
    trigger: str
    watchdog: bool = False
    stops_at_zero: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What the run is judged by.

    Args:
        time_policy: guest time over the blackout: ``advance`` with the world, ``freeze``, or ``advance-at-most`` and
            how long; None: nobody knows.
        late_tolerance_ns: lateness that is no fault.
        lost_after_ns: what comes later than this (and the blackout) after an arm was due does not answer it.
        downtime_ns: the blackout asked for; None: whatever the transfer takes.
        downtime_limit_ns: the longest that the last transfer may take; None: no limit.
        clock: ``virtual`` or ``wall``.
        timebase_tolerance_ns: how well TB is known where it was not read in place; None: it was.
        advance_at_most_ns: what ``advance-at-most`` says; None: it is another policy.
        hops: how often the guest was to cross.
        answer_ns: how long an answer is on its way back over the link, at most.
        expectations: how many the guest's script has, of all CPUs.
    """

    time_policy: str | None
    late_tolerance_ns: int
    lost_after_ns: int
    downtime_ns: int | None
    downtime_limit_ns: int | None
    clock: str
    timebase_tolerance_ns: int | None = None
    advance_at_most_ns: int | None = None
    hops: int = 1
    answer_ns: int = 0
    expectations: int = 0

    @property
    def timebase_slack_ns(self) -> int:
        """By how much TB may be off over a stop."""
        return self.slack_ns if self.timebase_tolerance_ns is None else self.timebase_tolerance_ns

    @property
    def slack_ns(self) -> int:
        """What the host's scheduling may add to any time in the log: nothing in virtual time."""
        return self.late_tolerance_ns if self.clock == "wall" else 0

    def passes_ns(self, pause_ns: int) -> int:
        """How much guest time the policy lets pass over a pause; where there is none, all of it."""
        if self.time_policy == FREEZE:
            return 0
        limit = self.advance_at_most_ns
        return pause_ns if limit is None or self.time_policy == ADVANCE else min(pause_ns, limit)

    def behind_ns(self, pauses: Iterable[tuple[int, int]]) -> int:
        """How far guest time is behind the world's after ``pauses``, stop and resume of each."""
        return sum(resume - stop - self.passes_ns(resume - stop) for stop, resume in pauses)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the launcher saw of the migration; the logs decide, this is held against them.

    ``torn``: the sides that ended before they had written their log to its end.
    """

    status: str | None = None
    owner: str | None = None
    reason: str | None = None
    torn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """``strategy``: the one asked for; None: nobody knows, as of a log that was imported."""

    engine: str
    strategy: str | None
    seed: int | None
    machine: Machine
    rule: Rule
    claim: Claim

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read ``run.json``.

        Raises:
            InputError: it is missing, malformed, of another schema, or of a run that was not finished.
        """
        try:
            raw = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError(str(path), "no such file: not a run directory") from None
        except OSError as error:
            raise InputError(str(path), str(error.strerror)) from None
        except orjson.JSONDecodeError as error:
            raise InputError(str(path), f"not JSON: {error}") from None
        return cls.parse(raw, str(path))

    @classmethod
    def parse(cls, raw: object, path: str = "run.json") -> Manifest:
        """The manifest in a decoded ``run.json``; raises InputError as `read` does."""
        top = _Table(path, "", raw)
        if top.integer("schema") != SCHEMA:
            raise InputError(path, f"schema {top.raw['schema']}, this livemig reads {SCHEMA}")
        if top.raw.get("complete") is not True:
            raise InputError(path, "half-written: the run was not finished")
        machine, rule = top.table("machine"), top.table("judge")
        claim = top.raw.get("migration") or {}
        return cls(
            engine=top.text("engine"),
            strategy=top.optional_text("strategy"),
            seed=top.optional("seed"),
            machine=Machine(
                model=machine.text("model"),
                cpus=machine.integer("cpus", least=1),
                timebase_hz=machine.integer("timebase_hz", least=1),
                decrementer_bits=machine.integer("decrementer_bits", least=2),
                trigger=machine.text("trigger", "edge", "level", "status"),
                stops_at_zero=machine.raw.get("stops_at_zero") is True,
                watchdog=machine.raw.get("watchdog") is True,
            ),
            rule=Rule(
                time_policy=rule.policy(),
                advance_at_most_ns=rule.optional("advance_at_most_ns"),
                late_tolerance_ns=rule.integer("late_tolerance_ns"),
                lost_after_ns=rule.integer("lost_after_ns"),
                downtime_ns=rule.optional("downtime_ns"),
                downtime_limit_ns=rule.optional("downtime_limit_ns"),
                clock=rule.text("clock", "virtual", "wall"),
                timebase_tolerance_ns=rule.optional("timebase_tolerance_ns"),
                hops=rule.optional("hops") or 1,
                answer_ns=rule.optional("answer_ns") or 0,
                expectations=rule.optional("expectations") or 0,
            ),
            claim=Claim(
                claim.get("status"), claim.get("owner"), claim.get("reason"), tuple(claim.get("torn") or ())
            ),
        )

    def under(self, time_policy: str | None, advance_at_most_ns: int | None = None) -> Manifest:
        """The same run, judged by another policy."""
        rule = replace(self.rule, time_policy=time_policy, advance_at_most_ns=advance_at_most_ns)
        return replace(self, rule=rule)


class _Table:
    """One JSON object of the manifest, read key by key."""

    def __init__(self, path: str, name: str, raw: object) -> None:
        if not isinstance(raw, dict):
            raise InputError(path, f"{name or 'the file'}: an object is needed")
        self.path, self.name = path, name
        self.raw: dict[str, Any] = raw

    def _fail(self, key: str, needed: str) -> InputError:
        where = f"{self.name}.{key}" if self.name else key
        return InputError(self.path, f"{where}: {self.raw.get(key)!r}, needed: {needed}")

    def table(self, key: str) -> _Table:
        return _Table(self.path, key, self.raw.get(key))

    def integer(self, key: str, least: int = 0) -> int:
        value = self.raw.get(key)
        if type(value) is not int or value < least:
            raise self._fail(key, f"an integer ≥ {least}")
        return value

    def optional(self, key: str) -> int | None:
        return None if self.raw.get(key) is None else self.integer(key)

    def text(self, key: str, *allowed: str) -> str:
        value = self.raw.get(key)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self._fail(key, " or ".join(allowed) or "a string")
        return value

    def policy(self) -> str | None:
        """``time_policy``."""
        text = self.raw.get("time_policy")
        if isinstance(text, str) and text.startswith(f"{AT_MOST}:"):
            self.integer("advance_at_most_ns")
            return text
        return self.optional_text("time_policy", ADVANCE, FREEZE)

    def optional_text(self, key: str, *allowed: str) -> str | None:
        return None if self.raw.get(key) is None else self.text(key, *allowed)
