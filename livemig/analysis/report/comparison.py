"""Strategies side by side: the same guest, seed and blackout, and what each of them delivered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from livemig.analysis.report import summary
from livemig.analysis.report.extract import Followed, columns, follow
from livemig.analysis.report.markup import Markup, tag, together
from livemig.analysis.report.page import chart, head, page, panel, timeline
from livemig.analysis.report.story import Arc
from livemig.analysis.report.thinning import Thinned
from livemig.analysis.result import Result
from livemig.analysis.ticks import to_ns, to_ticks
from livemig.analysis.units import duration

NEVER_MIGRATED: Final = "never migrated"
LANES: Final = 48
"""Rows of the picture, at most: so many CPUs of each strategy as fit."""
ARCS: Final = 40_000
SCRIPTS: Final = ("density.js", "timeline.js", "drift.js", "compare.js")


@dataclass(slots=True)
class Row:
    """One strategy, or the twin, in the picture."""

    name: str
    result: Result
    followed: Followed
    arcs: list[Arc] = field(default_factory=list)


def compare_page(title: str, results: Mapping[str, Result]) -> str:
    """The page of ``results``, by strategy, whose run directories are still there.

    Raises:
        InputError: a log is malformed.
        UsageError: Plotly is not installed.
    """
    return page(f"{title}: strategies compared", _body(title, results), compare_data(results), *SCRIPTS)


def compare_data(results: Mapping[str, Result]) -> dict[str, Any]:
    """What the picture is drawn from: as of one run, but for ``names``, where a lane is a CPU of a strategy."""
    first = next(iter(results.values()))
    machine = first.manifest.machine
    per_run = max(1, min(machine.cpus, LANES // (len(results) + 1)))
    thinned = Thinned(sum(result.interrupts.armed for result in results.values()), limit=ARCS)
    rows: list[Row] = []
    guides: dict[int, int] = {}
    for name, result in _with_twin(results):
        base = len(rows) * per_run
        row = _row(name, result, thinned, base, per_run)
        for arc in row.arcs:
            if arc.due_ns is not None:
                guides.setdefault(arc.cpu % per_run, arc.due_ns)
        rows.append(row)
    crossed = next(
        (row.followed for row in rows if row.result.crossed and row.name != NEVER_MIGRATED), rows[-1].followed
    )
    return {
        "hz": machine.timebase_hz,
        "cpus": len(rows) * per_run,
        "perRun": per_run,
        "names": [_lane(row.name, cpu, per_run) for row in rows for cpu in range(per_run)],
        "endNs": max(row.followed.end_ns for row in rows),
        "pauses": crossed.phases.pauses,
        "passes": crossed.phases.passes,
        "guides": sorted(guides.items()),
        "drifts": [
            {"name": row.name, "points": row.followed.drift.points} for row in rows if row.name != NEVER_MIGRATED
        ],
        "total": thinned.total,
        "stride": thinned.stride,
        "density": {
            "shift": thinned.density.shift,
            "counts": {str(lane): sorted(bins.items()) for lane, bins in sorted(thinned.density.counts.items())},
        },
        "arcs": columns(thinned.kept),
    }


def _with_twin(results: Mapping[str, Result]) -> list[tuple[str, Result]]:
    """The twin first, where there is one: it is the same beside every strategy."""
    for result in results.values():
        if (Path(result.run_dir) / "twin.jsonl").exists():
            return [(NEVER_MIGRATED, result), *results.items()]
    return list(results.items())


def _lane(name: str, cpu: int, per_run: int) -> str:
    return name if per_run == 1 else f"{name} · cpu {cpu}" if cpu == 0 else f"cpu {cpu}"


def _row(name: str, result: Result, thinned: Thinned, base: int, per_run: int) -> Row:
    """Follow one run; its arcs go to lanes from ``base`` on, and those that went wrong are kept aside too."""
    wrong: list[Arc] = []

    def tell(arc: Arc) -> None:
        if arc.cpu < per_run:
            moved = arc._replace(cpu=base + arc.cpu)
            thinned.tell(moved)
            if arc.outcome in ("late", "lost"):
                wrong.append(moved)

    twin = name == NEVER_MIGRATED
    logs = {"names": ("twin", "")} if twin else {}
    followed = follow(Path(result.run_dir), result.manifest, tell, thinned.everywhere, **logs)
    return Row(name, result, followed, wrong)


def _body(title: str, results: Mapping[str, Result]) -> Markup:
    first = next(iter(results.values()))
    machine = first.manifest.machine
    return tag(
        "main",
        head(title, [f"{len(results)} strategies", machine.model, f"seed {first.manifest.seed}"]),
        tag("section", tag("h1", *_headline(results)), class_="verdict compared"),
        panel("Figures", "the same guest and seed under every strategy", table(results)),
        timeline(
            "Around the blackout",
            "Dotted lines are the deadlines that the guest asked for before the stop and that fall behind it. ",
        ),
        timeline("Where the guest wakes"),
        panel("Guest time against the world", "how far each guest's timebase is ahead, or behind", chart("drift")),
        class_="comparison",
    )


def _headline(results: Mapping[str, Result]) -> list[str]:
    held = [name for name, result in results.items() if result.verdict == "valid"]
    if not held:
        return [tag("span", "No strategy", class_="word"), " keeps the guest's time across the migration"]
    names = ", ".join(held) if len(held) < len(results) else "Every strategy"
    verb = "keep" if 1 < len(held) < len(results) else "keeps"
    rest = len(results) - len(held)
    losers = [name for name, result in results.items() if result.interrupts.lost]
    others = f"; {rest} of {len(results)} {'does' if rest == 1 else 'do'} not" if rest else ""
    said = [tag("span", names, class_="word"), f" {verb} the guest's time across the migration{others}"]
    if losers:
        said += ["; ", tag("code", ", ".join(losers)), f" {'loses' if len(losers) == 1 else 'lose'} interrupts"]
    return said


def table(results: Mapping[str, Result]) -> Markup:
    """The figures of every strategy, one a row."""
    with_twin = any(result.missing is not None for result in results.values())
    names = ["strategy", "verdict", "lost", "late", "worst late", "ticks", "DECR off by", "guest behind", "ticks"]
    head_row = tag("tr", *(tag("th", name, class_="" if at < 2 else "n") for at, name in enumerate(names)),
                   *([tag("th", "missing", class_="n")] if with_twin else []), tag("th", "what fails"))  # fmt: skip
    rows = (_figures(name, result, with_twin) for name, result in results.items())
    return tag("div", tag("table", tag("thead", head_row), tag("tbody", *rows)), class_="table compare")


def _figures(name: str, result: Result, with_twin: bool) -> Markup:
    total, hz, behind = result.interrupts, result.timebase.hz, result.guest_behind_ns
    worst = max(total.worst_late_ns, total.overdue_ns)
    still = "> " if total.hung and total.overdue_ns == worst else ""
    errors = [abs(one.error_ticks) for one in result.decrementer]
    mood = {"valid": "fine", "invalid": "bad", "unknown": "warn"}[result.verdict]
    wrong = [*result.failed]
    numbers = [
        (f"{total.lost:,}", "bad" if total.lost else ""),
        (f"{total.late:,}", ""),
        (still + duration(worst), ""),
        (f"{to_ticks(worst, hz):,}", ""),
        ("–" if not errors else duration(to_ns(max(errors), hz)), "bad" if any(errors) else ""),
        ("–" if behind is None else summary.typeset(duration(behind)), "bad" if behind else ""),
        ("–" if behind is None else summary.signed(to_ticks(behind, hz)), ""),
    ]
    if with_twin:
        numbers.append(("–" if result.missing is None else summary.signed(sum(result.missing)), ""))
    said = ", ".join(wrong) if result.crossed else f"did not cross: {result.migration.status}"
    return tag(
        "tr",
        tag("th", name),
        tag("td", f"{summary.MARK[result.verdict]} {result.verdict}", class_=f"word {mood}"),
        together(*(tag("td", summary.typeset(text), class_=f"n {tone}") for text, tone in numbers)),
        tag("td", said, class_="wrong"),
    )
