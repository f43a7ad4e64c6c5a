"""Does the machine cross whole, once, and in the time that was asked for."""

from __future__ import annotations

from livemig.analysis.case import Case
from livemig.analysis.crossing import Crossing
from livemig.analysis.faults import Faults
from livemig.analysis.ownership import Ownership
from livemig.analysis.transfer import Transfer
from livemig.analysis.units import duration, plural
from livemig.analysis.verdict import Verdict, invalid, not_exercised, unknown, valid


def one_owner(case: Case) -> Verdict:
    """The guest arms timers and takes interrupts on the side that runs it, and there is one such side."""
    ownership, crossing, claimed = case[Ownership], case[Crossing], case.manifest.claim.owner
    if crossing.split is not None:
        return invalid("the guest was resumed on one side while it ran on the other", crossing.split)
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
    """The destination resumes with the RAM that the source stopped with; in postcopy, it has it when all has arrived,
    each page as it arrived, before the guest wrote to it."""
    stop, resume = case[Crossing].ends()
    sent, got = stop.ram_digest, resume.ram_digest
    if case[Transfer].postcopy and got is None:
        ended = case[Faults].ended
        if ended is None:
            return unknown("not all pages had arrived by the end", stop.seen, resume.seen)
        got = ended["ram_digest"]
    if sent is None and got is None:
        return not_exercised("the digest of RAM was not recorded")
    if sent is None or got is None:
        return unknown("only one side took a digest of RAM", stop.seen, resume.seen)
    if sent != got:
        return invalid(f"RAM differs: digest {sent} at the stop, {got} at the resume", stop.seen, resume.seen)
    return valid(f"RAM has the digest {got} on both sides", stop.seen, resume.seen)


def _switchover_late_ns(case: Case, resume_ns: int) -> int | None:
    """How late it came although it was sent while there was time, if the guest went on as soon as it was there."""
    if (switchover := case[Transfer].switchover) is None:
        return None
    sent_ns, arrived_ns, due_ns = switchover
    in_time = sent_ns <= due_ns < arrived_ns
    return arrived_ns - due_ns if in_time and resume_ns - arrived_ns <= case.manifest.rule.slack_ns else None


def blackout_as_configured(case: Case) -> Verdict:
    """The blackout is the downtime asked for, or longer only because the transfer was.

    A transfer may take the downtime limit. Where the source had to stop although the rest did not fit into
    it, what the passes within the blackout took explains as much again. A fault of the link explains any.
    """
    crossing, rule = case[Crossing], case.manifest.rule
    stop, resume = crossing.ends()
    blackout, asked, limit = crossing.blackout_ns(), rule.downtime_ns or 0, rule.downtime_limit_ns
    forced = case[Transfer].last_pass_ns
    took = f"{duration(blackout)}, {duration(asked)} asked for"
    if blackout < asked - rule.slack_ns:
        return invalid(f"too short: {took}", stop.seen, resume.seen)
    if blackout <= asked + rule.slack_ns:
        return valid(f"{took}", stop.seen, resume.seen)
    if limit is None:
        return valid(f"{took}; no limit", stop.seen, resume.seen)
    if (late := _switchover_late_ns(case, resume.t_ns)) is not None:
        return valid(f"{took}; switchover was sent in time, and arrived {duration(late)} late", stop.seen, resume.seen)
    if blackout <= limit + rule.slack_ns:
        return valid(f"{took}; the transfer may take {duration(limit)}", stop.seen, resume.seen)
    if limit < forced and blackout <= limit + forced + rule.slack_ns:
        return valid(f"{took}; the last pass alone took {duration(forced)}", stop.seen, resume.seen)
    if faults := case[Transfer].link_faults:
        return valid(f"{took}; the link was not as it should: {', '.join(faults)}", stop.seen, resume.seen)
    return invalid(f"too long: {took}, the transfer may take {duration(limit)}", stop.seen, resume.seen)
