"""How the guest's memory went, in words: what precopy saved, how it slowed the guest, what postcopy cost its CPUs."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.result import Result
from livemig.analysis.table import DIM, STYLE, paint, table
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


def compare_values(results: Mapping[str, Result], head: str, colour: bool = False) -> str:
    """Value by value of the key ``head``: how long the same migration took, what it sent, what it cost the guest."""
    names = ["total", "downtime", "passes", "sent", "expected", "limit", "throttled", "lost", "late", "worst late"]
    rows = [[head, *names, "verdict", ""]]
    for value, result in results.items():
        migration, told, total = result.migration, result.precopy or {}, result.interrupts
        times = (migration.total_ns, migration.blackout_ns)
        expected = (told.get(key) for key in ("expected_downtime_ns", "limit_ns"))
        most = max((step["percentage"] for step in told.get("throttles", ())), default=0)
        slowed = duration(told["throttled_ns"]) if told.get("throttles") else "–"
        rows.append(
            [
                value, *map(_time, times), f"{migration.passes:,}", size(migration.bytes), *map(_time, expected),
                f"{most} %, {slowed}" if most else slowed, f"{total.lost:,}", f"{total.late:,}",
                duration(max(total.worst_late_ns, total.overdue_ns)), result.verdict,
                "" if result.crossed else f"did not cross: {migration.status}",
            ]
        )  # fmt: skip
    last = len(rows[0]) - 1
    first, *body = table(rows, left=(0, last - 1, last), indent=0)
    painted = [paint(line, STYLE[result.verdict], colour) for line, result in zip(body, results.values(), strict=True)]
    return "\n".join([paint(first, DIM, colour), *painted]) + "\n"


def _time(ns: int | None) -> str:
    return "–" if ns is None else duration(ns)


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
    came = "not all pages came" if told["pages"] is None else f"{plural(told['pages'], 'page')} after the guest"
    parts = [
        f"{came}, {told['requests']:,} asked for"
        + (f", {told['preempted']:,} by their own connection" if told["preempted"] else ""),
        *(f"cpu {cpu} stood {duration(stood[cpu])}, interrupts {duration(late[cpu])} late" for cpu in sorted(cpus)),
    ]
    if len(stood) > _CPUS:
        parts.append(f"{len(stood) - _CPUS} more CPUs less")
    if told["blocktime_ns"]:
        parts.append(f"all at once {duration(told['blocktime_ns'])}")
    if told["standing"]:
        parts.append(f"cpu {', '.join(map(str, told['standing']))} still stood at the end")
    return " · ".join([*parts, f"{duration(told['worst_wait_ns'])} for a page at most"])
