"""Does the timebase go on as it should."""

from __future__ import annotations

from livemig.analysis.case import Case
from livemig.analysis.continuity import reading_ticks, tb_error, tb_errors, tb_skew, tolerance_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.manifest import ADVANCE, FREEZE
from livemig.analysis.policy import TimePolicy
from livemig.analysis.stated import StatedBound
from livemig.analysis.throttled import Throttled
from livemig.analysis.ticks import NS_PER_S, to_ns
from livemig.analysis.timebase import Timebase
from livemig.analysis.units import duration, plural
from livemig.analysis.verdict import Verdict, invalid, not_exercised, unknown, valid


def tb_monotonic(case: Case) -> Verdict:
    """TB never falls from one event of the guest to the next, on any CPU; wrapping at 2^64 is no fall."""
    timebase, hz = case[Timebase], case.manifest.machine.timebase_hz
    if timebase.falls:
        ticks, _ = timebase.falls[0]
        first = f"{plural(ticks, 'tick')} ({duration(to_ns(ticks, hz))})"
        evidence = (seen for _, seen in timebase.falls)
        return invalid(f"TB falls {plural(timebase.fallen, 'time')}, first by {first}", *evidence)
    if timebase.readings < 2:
        return unknown("fewer than two readings of TB")
    return valid(f"TB never falls in {plural(timebase.readings, 'reading')}")


def tb_continuous(case: Case) -> Verdict:
    """Over the blackout TB advances with the world, or stands still, as the policy says; within a tick.

    Where no policy was asked for it must do one of the two, and the reason says which.
    """
    stop, resume = case[Crossing].ends()
    error, policy = tb_error(case.manifest, stop, resume), case.manifest.rule.time_policy
    asked = case[TimePolicy].asked is not None
    if abs(error) > tolerance_ticks(case.manifest):
        by = duration(to_ns(abs(error), case.manifest.machine.timebase_hz))
        way = "ahead" if error > 0 else "behind"
        by_which = f"policy {policy}" if asked else f"neither advance nor freeze, nearest to {policy}"
        return invalid(f"TB resumes {plural(abs(error), 'tick')} ({by}) {way}; {by_which}", stop.seen, resume.seen)
    if asked:
        return valid(f"TB resumes where it must; policy {policy}", stop.seen, resume.seen)
    does = "stands still over" if policy == FREEZE else "advances by"
    return valid(f"TB {does} the blackout: policy {policy}, found", stop.seen, resume.seen)


def tb_not_throttled(case: Case) -> Verdict:
    """While the guest's CPUs are throttled its timebase is not: every TB that is read is where the world has it."""
    throttled, hz = case[Throttled], case.manifest.machine.timebase_hz
    if not throttled.stretches or throttled.worst is None:
        return not_exercised("the guest was not throttled")
    error, seen = throttled.worst
    if abs(error) > tolerance_ticks(case.manifest):
        by = f"{plural(abs(error), 'tick')} ({duration(abs(to_ns(error, hz)))})"
        return invalid(f"TB is {by} {'ahead' if error > 0 else 'behind'} while the guest is throttled", seen)
    readings = plural(throttled.readings, "reading")
    return valid(f"TB keeps to the world in {readings} over {duration(throttled.total_ns)} of throttling", seen)


def tb_error_within_bound(case: Case) -> Verdict:
    """Where the strategy states by how much it may misjudge the blackout, TB is off no more; within a tick."""
    stated, hz = case[StatedBound], case.manifest.machine.timebase_hz
    stop, resume = case[Crossing].ends()
    if stated.bound_ns is None or stated.seen is None:
        return not_exercised("the strategy states no bound")
    error = tb_errors(stop, resume, hz)[ADVANCE]
    is_off = f"TB is {plural(abs(error), 'tick')} ({duration(to_ns(abs(error), hz))}) off the world's"
    bound = f"{duration(stated.bound_ns)} at most were stated"
    allowed = -(-stated.bound_ns * hz // NS_PER_S) + tolerance_ticks(case.manifest)
    said = invalid if abs(error) > allowed else valid
    return said(f"{is_off}; {bound}", stated.seen, stop.seen, resume.seen)


def tb_synchronised(case: Case) -> Verdict:
    """At the resume all CPUs read the same TB."""
    _, resume = case[Crossing].ends()
    if (skew := tb_skew(resume)) > reading_ticks(case.manifest):
        by = duration(to_ns(skew, case.manifest.machine.timebase_hz))
        return invalid(f"the CPUs' TBs are {plural(skew, 'tick')} ({by}) apart", resume.seen)
    return valid("all CPUs resume with the same TB", resume.seen)
