"""The checks, by name: pure functions of a case. Each can fail, and is unknown where it saw nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livemig.analysis.case import Case
from livemig.analysis.checks.conservation import conservation
from livemig.analysis.checks.decrementer import decr_matches_tb
from livemig.analysis.checks.drift import drift_bounded
from livemig.analysis.checks.expectations import guest_as_expected
from livemig.analysis.checks.interrupts import (
    lateness_bounded,
    no_interrupt_lost,
    none_duplicated,
    none_early,
    pending_preserved,
)
from livemig.analysis.checks.machine import blackout_as_configured, one_owner, ram_identical
from livemig.analysis.checks.timebase import (
    tb_continuous,
    tb_error_within_bound,
    tb_monotonic,
    tb_not_throttled,
    tb_synchronised,
)
from livemig.analysis.checks.twin import as_if_never_migrated, as_twin
from livemig.analysis.checks.watchdog import no_false_watchdog
from livemig.analysis.crossing import Crossing
from livemig.analysis.observer import Observer
from livemig.analysis.stated import StatedBound
from livemig.analysis.throttled import Throttled
from livemig.analysis.transfer import Transfer
from livemig.analysis.twin import Twin
from livemig.analysis.verdict import Unknown, Verdict, unknown
from livemig.analysis.watchdog import Watchdog
from livemig.events.schema import SOURCE

Check = Callable[[Case], Verdict]

CHECKS: Final[dict[str, Check]] = {
    check.__name__: check
    for check in (
        no_interrupt_lost,
        pending_preserved,
        none_duplicated,
        none_early,
        lateness_bounded,
        tb_monotonic,
        tb_continuous,
        tb_error_within_bound,
        tb_synchronised,
        tb_not_throttled,
        decr_matches_tb,
        drift_bounded,
        one_owner,
        ram_identical,
        blackout_as_configured,
        no_false_watchdog,
        guest_as_expected,
        as_twin,
        as_if_never_migrated,
        conservation,
    )
}
"""In the order in which they matter to the guest."""

_ONLY_WITH: Final[dict[Check, type[Observer]]] = {
    as_twin: Twin,
    as_if_never_migrated: Twin,
    no_false_watchdog: Watchdog,
}


def _in_vain(case: Case) -> bool:
    """A migration was begun, and the guest did not cross."""
    return not case[Crossing].crossed and case[Transfer].status is not None


_ONLY_IF: Final[dict[Check, Callable[[Case], bool]]] = {
    as_if_never_migrated: _in_vain,
    drift_bounded: lambda case: len(case[Crossing].crossings) > 1,
    tb_not_throttled: lambda case: case[Throttled].stretches > 0,
    tb_error_within_bound: lambda case: case[StatedBound].any,
    guest_as_expected: lambda case: case.manifest.rule.expectations > 0,
}


def examine(case: Case) -> dict[str, Verdict]:
    """What every check that applies to ``case`` says."""
    verdicts = {
        name: verdict_of(check, case)
        for name, check in CHECKS.items()
        if (check not in _ONLY_WITH or _ONLY_WITH[check] in case) and _is_asked_for(check, case)
    }
    return {name: _without_the_stop(verdict) for name, verdict in verdicts.items()} if _stop_is_torn(case) else verdicts


def _is_asked_for(check: Check, case: Case) -> bool:
    """Also where that cannot be told: the check will say why."""
    try:
        return check not in _ONLY_IF or _ONLY_IF[check](case)
    except Exception:
        return True


def _stop_is_torn(case: Case) -> bool:
    """The guest crossed, but the source's log breaks off before its stop: what lies between is not known."""
    return SOURCE in case.manifest.claim.torn and case[Crossing].split is not None


def _without_the_stop(verdict: Verdict) -> Verdict:
    return unknown("the source's log breaks off before its stop") if verdict.word == "invalid" else verdict


def verdict_of(check: Check, case: Case) -> Verdict:
    """What one says; a check that crashes is unknown, and says of what."""
    try:
        return check(case)
    except Unknown as error:
        return unknown(str(error))
    except Exception as error:
        return unknown(f"the check crashed: {type(error).__name__}: {error}")
