"""Does every interrupt come, once, and when it is due."""

from __future__ import annotations

from livemig.analysis.account import Account
from livemig.analysis.arm import Finding
from livemig.analysis.case import Case
from livemig.analysis.crossing import Crossing
from livemig.analysis.held import Held
from livemig.analysis.pending import Pending
from livemig.analysis.units import duration, instant, plural
from livemig.analysis.verdict import Unknown, Verdict, invalid, not_exercised, unknown, valid


def _bad(case: Case, kind: str, count: int, what: str, by: str) -> Verdict:
    """Invalid: so many interrupts ``what``, the first of them ``by`` so much."""
    found = case[Account].findings[kind]
    first: Finding = found[0]
    extent = f", {duration(first.by_ns)} {by}" if first.by_ns else ""
    due = "" if first.due_ns is None else f", due at {instant(first.due_ns)}"
    where = f"first: cpu {first.cpu} {first.timer}{due}{extent}"
    return invalid(f"{plural(count, 'interrupt')} {what}; {where}", *(finding.seen for finding in found))


def no_interrupt_lost(case: Case) -> Verdict:
    """Every arm that fell due was delivered, or waits for the guest to let it in."""
    total = case[Account].total()
    if total.lost:
        return _bad(case, "lost", total.lost, "lost", "overdue")
    if not total.armed:
        return unknown("the guest armed no timer")
    return valid(f"none lost of {plural(total.armed, 'arm')}")


def none_duplicated(case: Case) -> Verdict:
    """No interrupt came that no arm asked for."""
    total = case[Account].total()
    if total.doubled:
        return _bad(case, "doubled", total.doubled, "delivered without an arm", "")
    return _delivered(case, "each answers one arm")


def none_early(case: Case) -> Verdict:
    """No interrupt came before it was due."""
    total = case[Account].total()
    if total.early:
        return _bad(case, "early", total.early, "early", "early")
    return _delivered(case, "none before it was due")


def lateness_bounded(case: Case) -> Verdict:
    """Only the guest's own masking, the blackout, and a host that the scenario stops delay an interrupt."""
    account = case[Account]
    if account.unexplained:
        return _bad(
            case, "unexplained", account.unexplained, "delayed by more than the blackout", "late beyond it"
        )
    if (held := case[Held]).seen:
        if not (total := case[Account].total()).delivered:
            return not_exercised("no interrupt was delivered")
        said = "only the guest's masking, the blackout and hosts that stood still delay any"
        return valid(f"{plural(total.delivered, 'interrupt')}: {said}", *held.seen)
    return _delivered(case, "only the guest's masking and the blackout delay any")


def _delivered(case: Case, reason: str) -> Verdict:
    if delivered := case[Account].total().delivered:
        return valid(f"{plural(delivered, 'interrupt')}: {reason}")
    return not_exercised("no interrupt was delivered")


def pending_preserved(case: Case) -> Verdict:
    """What was raised and not delivered at a stop is delivered once after the resume, or still raised."""
    hops = case[Crossing].hops()
    if any(hop.stop.pending is None for hop in hops):
        raise Unknown("what was pending was not recorded at the stop")
    pending = list(zip(hops, case[Pending].hops, strict=True))
    count = sum(len(crossed.deliveries) for _, crossed in pending)
    if not count:
        return not_exercised("no interrupt was pending at the stop")
    for hop, crossed in pending:
        for keys, what in ((crossed.forgotten(), "forgotten"), (crossed.doubled(), "delivered twice")):
            if keys:
                cpu, timer = keys[0]
                evidence = (*hop.seen, *crossed.deliveries[keys[0]])
                said = f"{plural(len(keys), 'pending interrupt')} {what}{hop}; first: cpu {cpu} {timer}"
                return invalid(said, *evidence[:10])
    hop = next(hop for hop, crossed in pending if crossed.deliveries)
    return valid(f"{plural(count, 'pending interrupt')} preserved", *hop.seen)
