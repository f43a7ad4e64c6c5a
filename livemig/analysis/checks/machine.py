"""Does the machine cross whole, once, and in the time that was asked for."""

from __future__ import annotations

from livemig.analysis.case import Case
from livemig.analysis.crossing import Crossing, Hop
from livemig.analysis.faults import Faults
from livemig.analysis.held import Held
from livemig.analysis.manifest import Rule
from livemig.analysis.ownership import Ownership
from livemig.analysis.transfer import Transfer
from livemig.analysis.units import duration, plural
from livemig.analysis.verdict import Verdict, invalid, not_exercised, unknown, valid


def one_owner(case: Case) -> Verdict:
    """The guest arms timers and takes interrupts on the side that runs it, and there is one such side."""
    ownership, crossing, claimed = case[Ownership], case[Crossing], case.manifest.claim.owner
    if crossing.split is not None:
        return invalid("the guest was resumed on one side while it ran on the other", crossing.split)
    if intruders := case[Transfer].intruders:
        return invalid("the destination let a second source in", *intruders)
    if ownership.first:
        side, _ = ownership.first[0]
        acts = plural(ownership.trespasses, "time")
        return invalid(f"the guest acted {acts} on a side that did not run it, first the {side}",
                       *(seen for _, seen in ownership.first))  # fmt: skip
    if not ownership.acts:
        return unknown("the guest did nothing that shows where it runs")
    if claimed in ("source", "destination") and claimed != crossing.owner:
        return unknown(
            f"the launcher says that the {claimed} owns the guest, the logs say the {crossing.owner}"
        )
    return valid(f"{plural(ownership.acts, 'act')} of the guest, each on the side that ran it")


def ram_identical(case: Case) -> Verdict:
    """The side that the guest crosses to resumes with the RAM that the other stopped with; in postcopy, it has it when
    all has arrived, each page as it arrived, before the guest wrote to it."""
    hops = case[Crossing].hops()
    digests = [(hop, hop.stop.ram_digest, hop.resume.ram_digest) for hop in hops]
    if case[Transfer].postcopy and digests[-1][2] is None:
        ended = case[Faults].ended
        if ended is None:
            return unknown("not all pages had arrived by the end", *hops[-1].seen)
        digests[-1] = (*digests[-1][:2], ended["ram_digest"])
    for hop, sent, got in digests:
        if sent is not None and got is not None and sent != got:
            return invalid(f"RAM differs{hop}: digest {sent} at the stop, {got} at the resume", *hop.seen)
    taken = [(hop, sent) for hop, sent, got in digests if sent is not None or got is not None]
    if not taken:
        return not_exercised("the digest of RAM was not recorded")
    for hop, sent, got in digests:
        if sent is None or got is None:
            return unknown(f"only one side took a digest of RAM{hop}", *hop.seen)
    hop, digest = taken[-1]
    return valid(f"RAM has the digest {digest} on both sides{hop}", *hop.seen)


def _switchover_late_ns(switchover: tuple[int, int, int] | None, hop: Hop, rule: Rule) -> int | None:
    """How late it came although it was sent while there was time, if the guest went on as soon as it was there."""
    if switchover is None:
        return None
    sent_ns, arrived_ns, due_ns = switchover
    in_time = sent_ns <= due_ns < arrived_ns
    return arrived_ns - due_ns if in_time and hop.resume.t_ns - arrived_ns <= rule.slack_ns else None


def blackout_as_configured(case: Case) -> Verdict:
    """The blackout is the downtime asked for, or longer only because the transfer was.

    The transfer of memory may take the downtime limit; as in QEMU the limit has no room for the trips of the link that
    follow it: the state goes there, the answer comes back, ``switchover`` goes there. Where the source had to stop
    although the rest did not fit into it, what the passes within the blackout took explains as much again. A host
    that stood still within it explains just as much, a fault of the link any.
    """
    rule, transfer, held = case.manifest.rule, case[Transfer], case[Held]
    hops = case[Crossing].hops()
    verdicts = [_blackout(rule, hop, transfer, held.overlap_ns(hop.stop.t_ns, hop.resume.t_ns)) for hop in hops]
    for verdict in verdicts:
        if verdict.word != "valid":
            return verdict
    return verdicts[max(hops, key=lambda hop: hop.blackout_ns).number - 1]


def _blackout(rule: Rule, hop: Hop, transfer: Transfer, held_ns: int) -> Verdict:
    """Of one hop, within which a host stood for ``held_ns``."""
    forced = transfer.last_pass_ns[hop.number - 1]
    blackout, asked, limit = hop.blackout_ns, rule.downtime_ns or 0, rule.downtime_limit_ns
    took = f"{duration(blackout)}, {duration(asked)} asked for{hop}"
    if blackout < asked - rule.slack_ns:
        return invalid(f"too short: {took}", *hop.seen)
    if blackout <= asked + rule.slack_ns:
        return valid(f"{took}", *hop.seen)
    if limit is None:
        return valid(f"{took}; no limit", *hop.seen)
    if (late := _switchover_late_ns(transfer.switchovers[hop.number - 1], hop, rule)) is not None:
        return valid(f"{took}; switchover was sent in time, and arrived {duration(late)} late", *hop.seen)
    if blackout <= limit + rule.slack_ns:
        return valid(f"{took}; the transfer may take {duration(limit)}", *hop.seen)
    trips = transfer.trips_ns[hop.number - 1]
    trips += rule.answer_ns if trips else 0
    if blackout <= limit + trips + rule.slack_ns:
        return valid(f"{took}; the transfer may take {duration(limit)}, the trips {duration(trips)}", *hop.seen)
    if limit < forced and blackout <= limit + forced + trips + rule.slack_ns:
        return valid(f"{took}; the last pass alone took {duration(forced)}", *hop.seen)
    most = max(asked, limit + trips + (forced if limit < forced else 0))
    if held_ns and blackout <= most + held_ns + rule.slack_ns:
        return valid(f"{took}; a host stood still for {duration(held_ns)} of it", *hop.seen)
    if faults := transfer.link_faults:
        return valid(f"{took}; the link was not as it should: {', '.join(faults)}", *hop.seen)
    return invalid(f"too long: {took}, the transfer may take {duration(limit)}", *hop.seen)
