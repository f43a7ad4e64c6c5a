"""Does the account add up."""

from __future__ import annotations

from livemig.analysis.account import Account
from livemig.analysis.case import Case
from livemig.analysis.census import Census
from livemig.analysis.units import plural
from livemig.analysis.verdict import Verdict, invalid, unknown, valid


def conservation(case: Case) -> Verdict:
    """On every CPU arms and deliveries, counted apart from the account, are what its outcomes sum up to."""
    census = case[Census]
    for cpu, tally in enumerate(case[Account].per_cpu()):
        ended = tally.on_time + tally.late + tally.early + tally.lost + tally.superseded + tally.pending
        answered = tally.on_time + tally.late + tally.early + tally.doubled + tally.stray + tally.repeated
        for what, counted, summed in (
            ("arms", census.armed[cpu], ended),
            ("deliveries", census.delivered[cpu], answered),
        ):
            if counted != summed:
                return invalid(f"cpu {cpu}: {counted:,} {what} in the log, {summed:,} in the account")
    if not (armed := census.armed.total()):
        return unknown("the guest armed no timer")
    return valid(f"{plural(armed, 'arm')}, each with one end")
