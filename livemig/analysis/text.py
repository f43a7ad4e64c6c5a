"""A verdict, and a comparison of strategies, as a person takes them in at one glance."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.memory_text import memory, postcopy, throttled
from livemig.analysis.result import Result
from livemig.analysis.table import DIM, GREEN, RED, STYLE, paint, table
from livemig.analysis.tally import Tally
from livemig.analysis.ticks import to_ns, to_ticks
from livemig.analysis.units import duration, plural, size
from livemig.analysis.verdict import Verdict

_MARK = {"valid": "✓", "invalid": "✗", "unknown": "?"}
_CPU_ROWS = _HOP_ROWS = 8


def verdict_text(result: Result, colour: bool = False) -> str:
    """The whole verdict, some twenty lines; ``colour``: with ANSI escapes."""
    word = paint(result.verdict.upper(), STYLE[result.verdict], colour)
    facts = {
        "migration": _migration(result),
        "memory": memory(result),
        "throttled": throttled(result),
        "postcopy": postcopy(result),
        "resume": _resume(result),
        "strategy": _strategy(result),
        "operator": _operator(result),
        "end": _end(result),
        "latest": _latest(result),
        "trips": _trips(result),
    }
    sections = [
        [f"{word}  {headline(result)}"],
        table([[name, told] for name, told in facts.items() if told], (0, 1)),
        *([_hop_table(result, colour)] if len(result.hops) > 1 else []),
        _cpu_table(result, colour),
        _checks(result, colour),
    ]
    if result.run_dir:
        sections.append([paint(f"  {result.run_dir}", DIM, colour)])
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def headline(result: Result) -> str:
    """What happened to the guest, in one sentence."""
    if result.crossed and result.migration.owner == "none":
        return f"the guest crossed, but nobody runs it now: {result.migration.reason}"
    if result.verdict == "valid":
        return _crossed_well(result)
    failed = _named(result, "invalid")
    said = [_worst(result, failed)] if failed else []
    if not result.crossed:
        reason = f" ({result.migration.reason})" if result.migration.reason else ""
        said.append(f"the migration did not complete{reason}; {_owner(result)}")
    elif not failed:
        name, verdict = next(iter(_named(result, "unknown", exercised=True).items()))
        said.append(f"{name} cannot be told: {verdict.reason}")
    return "; ".join(said)


def _crossed_well(result: Result) -> str:
    total, blackout = result.interrupts, duration(result.migration.blackout_ns or 0)
    hops = result.migration.hops
    crossed = f"crossed in {blackout}" if hops < 2 else f"crossed {hops:,} times, in {blackout} at most,"
    if not total.late:
        return f"the guest {crossed} and every interrupt came when it was due"
    late = f"{plural(total.late, 'interrupt')} late, by {_causes(result)} alone"
    return f"the guest {crossed} and lost nothing; {late}"


def _causes(result: Result) -> str:
    """Of lateness that is nobody's fault."""
    parts = result.attributed.total
    others = {"postcopy_fault": "missing pages", "host_stopped": "hosts that stood still"}
    named = [words for part, words in others.items() if parts.get(part)]
    blackout = any(ticks for part, ticks in parts.items() if part not in others and part != "guest_masked")
    if blackout or not named:
        named.insert(0, f"the blackout{'s' if result.migration.hops > 1 else ''}")
    return " and ".join(named)


def _worst(result: Result, failed: Mapping[str, Verdict]) -> str:
    if "no_interrupt_lost" not in failed:
        more = f"; {plural(len(failed) - 1, 'more check')} failed" if len(failed) > 1 else ""
        return next(iter(failed.values())).reason.split(";")[0] + more
    losers = [cpu for cpu, tally in enumerate(result.cpus) if tally.lost]
    lost = f"{plural(result.interrupts.lost, 'interrupt')} lost ({_cpus(losers)})"
    hung = [cpu for cpu, tally in enumerate(result.cpus) if tally.hung]
    if not hung:
        return lost
    when = " after the migration" if result.crossed else ""
    return f"{lost}; {'the guest' if len(hung) == len(result.cpus) else _cpus(hung)} hangs{when}"


def _cpus(numbers: list[int]) -> str:
    few = ", ".join(f"cpu {cpu}" for cpu in numbers[:4])
    return few if len(numbers) <= 4 else f"{few} and {len(numbers) - 4} more"


def _named(result: Result, word: str, exercised: bool | None = None) -> dict[str, Verdict]:
    return {
        name: verdict
        for name, verdict in result.checks.items()
        if verdict.word == word and exercised in (None, verdict.exercised)
    }


def _owner(result: Result) -> str:
    owner = result.migration.owner
    return "neither side runs the guest" if owner == "none" else f"the {owner} owns the guest"


def _migration(result: Result) -> str:
    migration = result.migration
    parts = [migration.status, _owner(result)]
    if migration.blackout_ns is not None:
        parts.append(f"blackout {duration(migration.blackout_ns)}")
    if migration.passes:  # A real QEMU's log does not tell them.
        parts.append(f"{migration.passes:,} {'pass' if migration.passes == 1 else 'passes'}, {size(migration.bytes)}")
    if migration.lost:
        parts.append(f"machine version {migration.machine_version} has no place for {' and '.join(migration.lost)}")
    return " · ".join(parts)


def _off(name: str, error: int, hz: int, less: str, more: str) -> str:
    if not error:
        return f"{name} exact"
    return f"{name} {plural(abs(error), 'tick')} ({duration(abs(to_ns(error, hz)))}) {more if error > 0 else less}"


def _resume(result: Result) -> str:
    timebase, hz = result.timebase, result.timebase.hz
    if timebase.error_ticks is None:
        return "–"
    parts = [_off("TB", timebase.error_ticks, hz, "behind", "ahead")]
    if timebase.skew_ticks:
        parts.append(f"CPUs {plural(timebase.skew_ticks, 'tick')} apart")
    if result.decrementer:
        worst = max(result.decrementer, key=lambda decrementer: abs(decrementer.error_ticks))
        where = f" on cpu {worst.cpu}" if worst.error_ticks and len(result.decrementer) > 1 else ""
        parts.append(_off("DECR", worst.error_ticks, hz, "too low", "too high") + where)
    return " · ".join([*parts, _policy(result)])


def _policy(result: Result) -> str:
    kept, told = result.manifest.rule.time_policy, result.time_policy
    if told.asked is not None:
        return f"policy {kept}"
    return f"policy {kept}, found" if told.found is not None else f"no policy; nearest: {kept}"


def _strategy(result: Result) -> str:
    """The one that the log shows; by TB and DECR alone several may be the same."""
    inference, asked = result.inference, result.manifest.strategy
    if inference.strategy is None or inference.residual_ticks is None:
        return ""
    names = [inference.strategy, *inference.ties]
    fits = asked if asked in names else names[0]
    if more := [name for name in names if name != fits]:
        fits += f" (or {', '.join(more)})"
    fits = f"{fits}, by TB and DECR" if result.inferred else f"none that is known; nearest: {fits}"
    if ticks := inference.residual_ticks:
        fits += f", {plural(ticks, 'tick')} ({duration(to_ns(ticks, result.timebase.hz))}) off"
    return f"{fits}; {asked} was asked for" if asked and asked not in names else fits


def _latest(result: Result) -> str:
    """Where the lateness of the latest interrupt comes from."""
    if not result.attributed.worst:
        return ""
    worst = result.attributed.worst[0]
    parts = [f"{part.replace('_', ' ')} {ticks:,}" for part, ticks in worst.parts.items() if ticks]
    return f"cpu {worst.cpu} {worst.timer}: {plural(worst.late_ticks, 'tick')} = {' + '.join(parts)}"


def _trips(result: Result) -> str:
    """Who would have complained in a real guest, and of what."""
    tripped: dict[str, list[str]] = {}
    for impact in result.impact:
        if impact.tripped and impact.value_ns is not None:
            tripped.setdefault(f"{duration(impact.value_ns)} {impact.quantity}", []).append(impact.name)
    return " · ".join(f"{', '.join(names)} ({by})" for by, names in tripped.items())


def _operator(result: Result) -> str:
    told = result.operator
    parts = [f"had the guest stand still for {duration(told.stood_ns)}, not counted"] if told.stops else []
    return " · ".join(parts + ["reset the guest"] * told.reset)


def _end(result: Result) -> str:
    behind = result.guest_behind_ns
    if not behind:
        return "guest time is the world's" if behind == 0 else "–"
    return f"guest time is {duration(abs(behind))} {'ahead of' if behind < 0 else 'behind'} the world's"


def _lateness(tally: Tally, hz: int) -> tuple[str, str]:
    """The worst, with its ticks; ``>`` where it was not over when the log ended."""
    worst = max(tally.worst_late_ns, tally.overdue_ns)
    still = ">" if tally.hung and tally.overdue_ns == worst else ""
    return still + duration(worst), f"{to_ticks(worst, hz):,}"


def _hop_table(result: Result, colour: bool) -> list[str]:
    """Hop by hop what it added to the error of TB, and the worst slip of a DECR; of many the first and the last."""
    hops = result.hops
    shown = hops if len(hops) <= _HOP_ROWS else [*hops[: _HOP_ROWS // 2], *hops[-_HOP_ROWS // 2 :]]
    rows = [["hop", "blackout", "TB", "DECR", "before it", "drift"]]
    for hop in shown:
        decr = "–" if hop.decr_error is None else f"{hop.decr_error:,}"
        ticks = (f"{ticks:,}" for ticks in (hop.stayed, hop.drift))
        rows.append([str(hop.number), duration(hop.blackout_ns), f"{hop.tb_error:,}", decr, *ticks])
    head, *body = table(rows, left=())
    if hidden := len(hops) - len(shown):
        body.insert(_HOP_ROWS // 2, paint(f"  … and {plural(hidden, 'hop')} more", DIM, colour))
    return [paint(f"{head}  ticks", DIM, colour), *body]


def _cpu_table(result: Result, colour: bool) -> list[str]:
    cpus = dict(enumerate(result.cpus))
    if len(cpus) > _CPU_ROWS:
        troubled = [cpu for cpu, tally in cpus.items() if tally.on_time != tally.delivered or tally.lost]
        cpus = {cpu: result.cpus[cpu] for cpu in (troubled or list(cpus))[:_CPU_ROWS]}
    columns = ("delivered", "on_time", "late", "lost", "early", "doubled")
    rows = [["cpu", *(name.replace("_", " ") for name in columns), "worst late", "ticks"]]
    lines = [(str(cpu), tally) for cpu, tally in cpus.items()]
    for name, tally in [*lines, ("all", result.interrupts)] if len(result.cpus) != 1 else lines:
        counts = (f"{getattr(tally, column):,}" for column in columns)
        rows.append([name, *counts, *_lateness(tally, result.timebase.hz)])
    head, *body = table(rows, left=())
    styles = [RED if tally.lost or tally.early or tally.doubled else "" for _, tally in lines] + [""]
    painted = [paint(line, style, colour) for line, style in zip(body, styles, strict=False)]
    if hidden := len(result.cpus) - len(cpus):
        painted.insert(len(cpus), paint(f"  … and {plural(hidden, 'CPU')} more", DIM, colour))
    return [paint(head, DIM, colour), *painted]


def _checks(result: Result, colour: bool) -> list[str]:
    """Those that fail or cannot be told, each with where to look; the others counted."""
    spoken = _named(result, "invalid") | _named(result, "unknown", exercised=True)
    rows = []
    for name, verdict in spoken.items():
        where = [f"{seen.file}:{seen.line}" for seen in verdict.evidence[:1]]
        rows.append([_MARK[verdict.word], name, verdict.reason + "".join(f"  → {place}" for place in where)])
    lines = [
        paint(line, STYLE[verdict.word], colour)
        for line, verdict in zip(table(rows, left=(0, 1, 2)) if rows else [], spoken.values(), strict=True)
    ]
    if held := len(_named(result, "valid")):
        lines.append(paint(f"  {_MARK['valid']}  {plural(held, 'check')} held", GREEN, colour))
    if idle := _named(result, "unknown", exercised=False):
        lines.append(paint(f"  ·  not exercised: {', '.join(idle)}", DIM, colour))
    return lines


def compare_table(results: Mapping[str, Result], colour: bool = False, head: str = "strategy") -> str:
    """Strategy by strategy what became of the same guest; the twin's column only where there is one.

    ``head``: what the names of ``results`` are.
    """
    with_twin = any(result.missing is not None for result in results.values())
    names = [head, "lost", "late", "worst late", "ticks", "guest behind", "ticks", "skew ticks"]
    rows = [[*names, *(["missing"] if with_twin else []), "verdict", ""]]
    for strategy, result in results.items():
        rows.append(
            [strategy, *_figures(result), *([_missing(result)] if with_twin else []), *_outcome(result)]
        )
    last = len(rows[0]) - 1
    head_line, *body = table(rows, left=(0, last - 1, last), indent=0)
    painted = [paint(head_line, DIM, colour)]
    for line, result in zip(body, results.values(), strict=True):
        painted.append(paint(line, STYLE[result.verdict], colour))
    return "\n".join(painted) + "\n"


def _figures(result: Result) -> list[str]:
    hz, behind, skew = result.timebase.hz, result.guest_behind_ns, result.timebase.skew_ticks
    return [
        f"{result.interrupts.lost:,}",
        f"{result.interrupts.late:,}",
        *_lateness(result.interrupts, hz),
        *(("–", "–") if behind is None else (duration(behind), f"{to_ticks(behind, hz):,}")),
        "–" if skew is None else f"{skew:,}",
    ]


def _missing(result: Result) -> str:
    return "–" if result.missing is None else f"{sum(result.missing):,}"


def _outcome(result: Result) -> list[str]:
    """The word, and the checks behind it."""
    if not result.crossed:
        return [result.verdict, f"did not cross: {result.migration.status}"]
    wrong = list(_named(result, result.verdict, exercised=True)) if result.verdict != "valid" else []
    more = f" +{len(wrong) - 2}" if len(wrong) > 2 else ""
    return [result.verdict, ", ".join(wrong[:2]) + more]
