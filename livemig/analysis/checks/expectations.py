"""Does what a scripted guest holds true hold."""

from __future__ import annotations

from livemig.analysis.case import Case
from livemig.analysis.expectations import Expectations
from livemig.analysis.units import instant, plural
from livemig.analysis.verdict import Verdict, invalid, valid


def guest_as_expected(case: Case) -> Verdict:
    """Everything that the guest's script expects is so, and it came to all of it."""
    seen, due = case[Expectations], case.manifest.rule.expectations
    if seen.failed:
        first = seen.disappointed[0]
        said = f"at {instant(first.seen.t_ns)} {first.said}; {seen.failed} of {plural(due, 'expectation')} failed"
        return invalid(said, *(each.seen for each in seen.disappointed))
    if seen.count < due:
        return invalid(f"the guest came to {seen.count} of {plural(due, 'expectation')}")
    return valid(f"{plural(seen.count, 'expectation')} of the guest's script hold")
