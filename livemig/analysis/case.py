"""All that one pass over the history establishes: what the checks judge by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from livemig.analysis.account import Account
from livemig.analysis.attribution import Attribution
from livemig.analysis.census import Census
from livemig.analysis.continuity import reading_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.expectations import Expectations
from livemig.analysis.faults import Faults
from livemig.analysis.held import Held
from livemig.analysis.log import Event, Log, Place
from livemig.analysis.manifest import ADVANCE, Manifest
from livemig.analysis.observer import Observer, close, observe
from livemig.analysis.ownership import Ownership
from livemig.analysis.pending import Pending
from livemig.analysis.policy import TimePolicy
from livemig.analysis.precopy import Precopy
from livemig.analysis.stated import StatedBound
from livemig.analysis.stretch import interleaved, stretches
from livemig.analysis.throttled import Throttled
from livemig.analysis.timebase import Timebase
from livemig.analysis.transfer import Transfer
from livemig.analysis.twin import Twin
from livemig.analysis.unserved import Unserved
from livemig.analysis.watchdog import Watchdog

_Kind = TypeVar("_Kind", bound=Observer)


class Case:
    """One run before the judge: ``case[Account]`` is its account, ``Twin in case`` whether it has a twin.

    Args:
        manifest: what the launcher knows. Afterwards ``case.manifest`` has the time policy that was kept, even if
            nobody asked for one.
        source, destination: the logs; read here, to their ends.
        twin: the twin's log, if there is one.
        directory: where the files lie, for the path in an InputError.

    Raises:
        InputError: a log is malformed.
    """

    def __init__(
        self,
        manifest: Manifest,
        source: Log,
        destination: Log,
        twin: Iterable[tuple[Event, Place]] | None = None,
        directory: str = "",
    ) -> None:
        crossing = Crossing()
        policy = TimePolicy(manifest, crossing)
        faults = Faults(policy, manifest.machine.timebase_hz)
        held = Held(crossing, policy, manifest.machine.timebase_hz)
        attribution = Attribution(manifest, crossing, policy, faults, held)
        timebase = Timebase(manifest.machine.timebase_hz, crossing, reading_ticks(manifest))
        self._observers: dict[type[Observer], Observer] = {
            Crossing: crossing,  # First: the others ask it who owns the guest.
            TimePolicy: policy,
            Faults: faults,
            Held: held,
            Attribution: attribution,
            Account: Account(manifest, crossing, policy, attribution, faults, held),
            Timebase: timebase,
            Unserved: Unserved(crossing, timebase),
            Ownership: Ownership(crossing),
            Census: Census(crossing),
            Throttled: Throttled(manifest.machine.timebase_hz, crossing),
            Transfer: Transfer(crossing),
            Precopy: Precopy(crossing),
            StatedBound: StatedBound(),
            Expectations: Expectations(crossing),
            Pending: Pending(crossing, manifest.machine, manifest.rule.lost_after_ns),
        }
        if manifest.machine.watchdog:
            self._observers[Watchdog] = Watchdog(crossing)
        if twin is not None:
            self._observers[Twin] = Twin(twin, manifest.rule.clock == "virtual", crossing, faults, held)

        observers = list(self._observers.values())
        self._crashed = observe(interleaved(stretches(source), stretches(destination)), observers, directory)
        for needed in (crossing, policy):
            if needed in self._crashed:
                raise self._crashed[needed]  # Nothing else makes sense without it.
        self.end_ns = {log.side: log.last_ns for log in (source, destination)}.get(crossing.owner) or 0
        """Until when the guest could run: the end of its owner's log, or a stop that no resume followed."""
        if crossing.running is None and crossing.stop is not None:
            self.end_ns = crossing.stop.t_ns
        self._crashed |= close(observers, self.end_ns, self._crashed)
        self.manifest = manifest.under(policy.kept or ADVANCE, manifest.rule.advance_at_most_ns)

    def __contains__(self, kind: type[Observer]) -> bool:
        return kind in self._observers

    def __getitem__(self, kind: type[_Kind]) -> _Kind:
        """The observer of this kind; raises what it crashed of, so that whoever needs it cannot go on."""
        observer = self._observers[kind]
        if observer in self._crashed:
            raise self._crashed[observer]
        assert isinstance(observer, kind)
        return observer
