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
    errors = [(tb_error(case.manifest, hop.stop, hop.resume), hop) for hop in case[Crossing].hops()]
    error, hop = max(errors, key=lambda of_hop: abs(of_hop[0]))
    policy = case.manifest.rule.time_policy
    asked = case[TimePolicy].asked is not None
    if abs(error) > tolerance_ticks(case.manifest):
        by = duration(to_ns(abs(error), case.manifest.machine.timebase_hz))
        way = "ahead" if error > 0 else "behind"
        by_which = f"policy {policy}" if asked else f"neither advance nor freeze, nearest to {policy}"
        return invalid(f"TB resumes {plural(abs(error), 'tick')} ({by}) {way}{hop}; {by_which}", *hop.seen)
    if asked:
        return valid(f"TB resumes where it must; policy {policy}", *hop.seen)
    does = "stands still over" if policy == FREEZE else "advances by"
    return valid(f"TB {does} the blackout: policy {policy}, found", *hop.seen)


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
    hz, tolerance = case.manifest.machine.timebase_hz, tolerance_ticks(case.manifest)
    judged = []
    for hop in case[Crossing].hops():
        if (stated := case[StatedBound].at(hop.stop.t_ns)) is not None:
            bound_ns, seen = stated
            error = tb_errors(hop.stop, hop.resume, hz)[ADVANCE]
            judged.append((abs(error) - -(-bound_ns * hz // NS_PER_S), error, bound_ns, seen, hop))
    if not judged:
        return not_exercised("the strategy states no bound")
    beyond, error, bound_ns, seen, hop = max(judged, key=lambda found: found[0])
    is_off = f"TB is {plural(abs(error), 'tick')} ({duration(to_ns(abs(error), hz))}) off the world's{hop}"
    said = invalid if beyond > tolerance else valid
    return said(f"{is_off}; {duration(bound_ns)} at most were stated", seen, *hop.seen)


def tb_synchronised(case: Case) -> Verdict:
    """At the resume all CPUs read the same TB."""
    skew, hop = max(((tb_skew(hop.resume), hop) for hop in case[Crossing].hops()), key=lambda of_hop: of_hop[0])
    if skew > reading_ticks(case.manifest):
        by = duration(to_ns(skew, case.manifest.machine.timebase_hz))
        return invalid(f"the CPUs' TBs are {plural(skew, 'tick')} ({by}) apart{hop}", hop.resume.seen)
    return valid("all CPUs resume with the same TB", hop.resume.seen)
