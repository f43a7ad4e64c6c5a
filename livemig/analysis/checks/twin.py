"""Does the guest do what it would have done, had it stayed."""

from __future__ import annotations

from livemig.analysis.account import Account
from livemig.analysis.case import Case
from livemig.analysis.crossing import Crossing
from livemig.analysis.twin import Twin
from livemig.analysis.units import plural
from livemig.analysis.verdict import Verdict, invalid, unknown, valid


def as_twin(case: Case) -> Verdict:
    """Equal to the twin until the stop; then no more deliveries missing than the blackout explains."""
    twin, crossing = case[Twin], case[Crossing]
    if twin.differs:
        return invalid("before the stop the guest does what its twin does not", *twin.differs)
    if not twin.delivered:
        return unknown("the twin had no interrupt")
    apart = 0
    for cpu, tally in enumerate(case[Account].per_cpu()):
        missing = twin.missing(cpu, tally.delivered)
        apart += abs(missing)
        if missing > twin.excused[cpu]:
            explained = f"the blackout explains {twin.excused[cpu]:,}"
            evidence = [crossing.resume.seen] if crossing.resume else []
            return invalid(
                f"cpu {cpu} misses {plural(missing, 'interrupt')} of its twin; {explained}", *evidence
            )
    return valid(f"{plural(apart, 'interrupt')} apart from the twin, all explained by the blackout")
