"""Does the watchdog take a guest that crossed for one that hangs."""

from __future__ import annotations

from livemig.analysis.case import Case
from livemig.analysis.crossing import Crossing
from livemig.analysis.units import plural
from livemig.analysis.verdict import Verdict, invalid, not_exercised, unknown, valid
from livemig.analysis.watchdog import Watchdog


def no_false_watchdog(case: Case) -> Verdict:
    """A watchdog that never bit on the source does not bite on the destination."""
    watchdog = case[Watchdog]
    case[Crossing].hops()
    if watchdog.bites_after and watchdog.bites_before:
        return unknown("the watchdog bit before the stop too", *watchdog.bites_after)
    if watchdog.bites_after:
        bites = plural(len(watchdog.bites_after), "watchdog interrupt")
        return invalid(f"{bites} after the resume, none before the stop", *watchdog.bites_after)
    if not watchdog.armed:
        return not_exercised("the guest never armed its watchdog")
    return valid("the watchdog did not bite")
