"""How the guest's memory went, in words: what precopy saved, how it slowed the guest, what postcopy cost its CPUs."""

from __future__ import annotations

from livemig.analysis.result import Result
from livemig.analysis.units import duration, instant, plural, size

_CPUS = 4


def memory(result: Result) -> str:
    """What was not sent in full, and how long the last transfer was expected to take; empty without precopy."""
    told = result.precopy
    if told is None:
        return ""
    counts = (
        ("zero_pages", "zero"), ("encoded_pages", "as deltas or compressed"), ("skipped_pages", "unchanged, not sent"),
    )  # fmt: skip
    parts = [f"{plural(told[key], 'page')} {words}" for key, words in counts if told[key]]
    if told["expected_downtime_ns"] is not None:
        limit, first = told["limit_ns"], told["first_limit_ns"]
        by = duration(limit) if limit == first else f"{duration(first)}, later {duration(limit)}"
        parts.append(f"downtime expected {duration(told['expected_downtime_ns'])}, limit {by}")
    return " · ".join(parts)


def throttled(result: Result) -> str:
    """By what, how far and for how long the guest's CPUs were; empty if they were not."""
    told = result.precopy
    if told is None or not told["throttles"]:
        return ""
    steps = told["throttles"]
    first, last = steps[0], steps[-1]
    parts = [f"by {', '.join(dict.fromkeys(step['cause'] for step in steps))}, from {instant(first['t_ns'])}"]
    if most := max(step["percentage"] for step in steps):
        share = f"{first['percentage']} % of CPU time"
        parts.append(share if len(steps) == 1 else f"{share}, in {len(steps):,} steps up to {most} %")
    parts.append(f"writes down to {size(last['write_rate'])}/s · for {duration(told['throttled_ns'])}")
    return " · ".join(parts)


def postcopy(result: Result) -> str:
    """What missing pages cost: how long each CPU stood, and by how much interrupts were late; empty without one."""
    told = result.postcopy
    if told is None:
        return ""
    stood, late = told["vcpu_blocktime_ns"], told["vcpu_interrupts_late_ns"]
    cpus = sorted(range(len(stood)), key=lambda cpu: -stood[cpu])[:_CPUS]
    parts = [
        f"{plural(told['pages'], 'page')} after the guest, {told['requests']:,} asked for"
        + (f", {told['preempted']:,} by their own connection" if told["preempted"] else ""),
        *(f"cpu {cpu} stood {duration(stood[cpu])}, interrupts {duration(late[cpu])} late" for cpu in sorted(cpus)),
    ]
    if len(stood) > _CPUS:
        parts.append(f"{len(stood) - _CPUS} more CPUs less")
    if told["blocktime_ns"]:
        parts.append(f"all at once {duration(told['blocktime_ns'])}")
    return " · ".join([*parts, f"{duration(told['worst_wait_ns'])} for a page at most"])
