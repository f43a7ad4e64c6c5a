"""The words and figures of a run as HTML: verdict, checks with their evidence, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from livemig.analysis.memory_text import memory, postcopy, throttled
from livemig.analysis.report.excerpt import Excerpt
from livemig.analysis.report.markup import Markup, tag, together
from livemig.analysis.result import Result
from livemig.analysis.tally import Tally
from livemig.analysis.text import headline
from livemig.analysis.ticks import to_ns, to_ticks
from livemig.analysis.units import duration, instant, plural, size
from livemig.analysis.verdict import Evidence, Verdict

MARK: Final = {"valid": "✓", "invalid": "✗", "unknown": "?"}
MINUS: Final = "\u2212"

Excerpts = Mapping[Evidence, Excerpt]


def typeset(text: str) -> str:
    """Quantities with the signs that print has and a terminal may lack."""
    return re.sub(r"(?<=\d )us\b", "µs", re.sub(r"(?<![\w.,-])-(?=\d)", MINUS, text))


def verdict(result: Result) -> Markup:
    """The word and the sentence."""
    return tag(
        "section",
        tag(
            "h1",
            tag("span", result.verdict, class_="word"),
            " ",
            tag("span", typeset(headline(result)), class_="headline"),
        ),
        class_=f"verdict {result.verdict}",
    )


def figures(result: Result) -> Markup:
    """The few numbers that matter, large."""
    total, hz, crossing = result.interrupts, result.timebase.hz, result.migration
    worst = max(total.worst_late_ns, total.overdue_ns)
    behind, blackout = result.guest_behind_ns, crossing.blackout_ns
    asked = result.manifest.rule.downtime_ns
    cells = [
        ("blackout", "–" if blackout is None else duration(blackout), f"{duration(asked)} asked for" if asked else ""),
        ("lost", f"{total.lost:,}", f"of {plural(total.armed, 'arm')}", "bad" if total.lost else ""),
        ("late", f"{total.late:,}", f"of {total.delivered:,} delivered", "warn" if total.late else ""),
        (
            "worst lateness",
            ("> " if total.hung and total.overdue_ns == worst else "") + duration(worst),
            f"{to_ticks(worst, hz):,} ticks",
        ),
        _behind(behind, hz),
        _decrementer(result),
    ]
    return tag("dl", *(_figure(*cell) for cell in cells), class_="figures")


def _figure(name: str, value: str, note: str, mood: str = "") -> Markup:
    number, _, unit = typeset(value).rpartition(" ")
    shown = together(number, tag("small", unit)) if number else together(unit)
    return tag(
        "div", tag("dt", name), tag("dd", shown, class_="number"), tag("dd", typeset(note)), class_=f"figure {mood}"
    )


def _behind(behind: int | None, hz: int) -> tuple[str, str, str, str]:
    if behind is None:
        return "guest time", "–", "never read", ""
    way = "ahead of the world" if behind < 0 else "behind the world"
    ticks = f"{to_ticks(abs(behind), hz):,} ticks" if behind else "the world's to the tick"
    return ("guest time " + way if behind else "guest time off by"), duration(abs(behind)), ticks, "bad" * bool(behind)


def _decrementer(result: Result) -> tuple[str, str, str, str]:
    if not result.decrementer:
        return "DECR at the resume", "–", "not known", ""
    worst = max(result.decrementer, key=lambda decrementer: abs(decrementer.error_ticks))
    error = worst.error_ticks
    if not error:
        return "DECR at the resume", "exact", "on every CPU", ""
    off = f"{plural(abs(error), 'tick')} too {'high' if error > 0 else 'low'}, cpu {worst.cpu}"
    return "DECR at the resume off by", duration(to_ns(abs(error), result.timebase.hz)), off, "bad"


def checks(result: Result, shown: Excerpts) -> Markup:
    """Those that failed or cannot be told in full, with what shows it one click away; the others as chips."""
    loud, quiet = [], []
    for name, said in sorted(result.checks.items(), key=lambda entry: _rank(entry[1])):
        if said.word == "invalid" or (said.word == "unknown" and said.exercised):
            loud.append(_loud(name, said, shown))
        else:
            quiet.append(_chip(name, said, shown))
    return tag(
        "section",
        tag("h2", "Checks", class_="quiet"),
        tag("div", *loud, class_="loud") if loud else Markup(),
        tag("div", *quiet, class_="chips"),
        class_="checks",
    )


def _rank(said: Verdict) -> int:
    return ("invalid", "unknown", "valid").index(said.word) if said.exercised else 3


def _loud(name: str, said: Verdict, shown: Excerpts) -> Markup:
    count = tag("span", plural(len(said.evidence), "event") if said.evidence else "", class_="count")
    summary = tag(
        "summary",
        tag("span", MARK[said.word], class_="mark"),
        tag("code", name),
        tag("span", typeset(said.reason), class_="reason"),
        count,
    )
    return tag(
        "details", summary, _evidence(said, shown), class_=f"check {said.word}", name="check", id=f"check-{name}"
    )


def _chip(name: str, said: Verdict, shown: Excerpts) -> Markup:
    idle = "idle" if not said.exercised else said.word
    mark = "·" if not said.exercised else MARK[said.word]
    return tag(
        "details",
        tag("summary", tag("span", mark, class_="mark"), tag("code", name)),
        tag("div", tag("p", typeset(f"{said.word}: {said.reason}" if said.exercised else said.reason)), class_="card"),
        class_=f"check chip {idle}",
        name="check",
        id=f"check-{name}",
    )


def _evidence(said: Verdict, shown: Excerpts) -> Markup:
    if not said.evidence:
        return tag("p", "No event shows it.", class_="note")
    return tag("ol", *(tag("li", _seen(seen, shown)) for seen in said.evidence), class_="evidence")


def _seen(seen: Evidence, shown: Excerpts) -> Markup:
    place = f"{seen.file}:{seen.line}"
    head = tag(
        "div",
        tag("code", place, class_="place"),
        tag("span", f"t = {seen.t_ns:,} ns", class_="time"),
        tag(
            "button",
            f"show {instant(seen.t_ns)} in the timeline",
            type="button",
            class_="jump",
            data_ns=str(seen.t_ns),
            data_place=place,
        ),
        class_="evidence-head",
    )
    lines = shown[seen].lines if seen in shown else ()
    if not lines:
        return together(head, tag("p", "The line is no longer in the file.", class_="note"))
    rows = (
        tag(
            "li",
            tag("span", f"{number}", class_="line-number"),
            tag("code", text),
            class_="here" * (number == seen.line),
        )
        for number, text in lines
    )
    return together(head, tag("ul", *rows, class_="log"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, class_: str = "") -> Markup:
    """A table whose first ``left`` columns are words; the others are numbers, aligned right."""

    def row(cells: Sequence[str], name: str) -> Markup:
        made = (
            tag("th" if name == "th" or at == 0 else "td", typeset(cell), class_="" if at < left else "n")
            for at, cell in enumerate(cells)
        )
        return tag("tr", *made)

    body = tag("tbody", *(row(cells, "td") for cells in rows))
    head_row = tag("thead", row(head, "th")) if head else Markup()
    return tag("div", tag("table", head_row, body), class_=f"table {class_}".strip())


def cpu_table(result: Result) -> Markup:
    """What became of the interrupts of every CPU."""
    names = ("delivered", "on_time", "late", "lost", "early", "doubled", "superseded", "pending")

    def row(name: str, tally: Tally) -> list[str]:
        worst = max(tally.worst_late_ns, tally.overdue_ns)
        counts = [f"{getattr(tally, column):,}" for column in names]
        return [name, *counts, duration(worst), f"{to_ticks(worst, result.timebase.hz):,}"]

    rows = [row(f"cpu {cpu}", tally) for cpu, tally in enumerate(result.cpus)]
    if len(rows) != 1:
        rows.append(row("all", result.interrupts))
    head = ["", *(name.replace("_", " ") for name in names), "worst late", "ticks"]
    return table(head, rows, class_="summed" if len(rows) > 1 else "")


def postcopy_table(result: Result) -> Markup:
    """How long each CPU stood for missing pages, and by how much its interrupts were late because of that."""
    told = result.postcopy
    if told is None:
        return Markup()
    pairs = zip(told["vcpu_blocktime_ns"], told["vcpu_interrupts_late_ns"], strict=True)
    rows = [[f"cpu {cpu}", duration(stood), duration(late)] for cpu, (stood, late) in enumerate(pairs)]
    if told["blocktime_ns"] is not None:
        rows.append(["all at once", duration(told["blocktime_ns"]), ""])
    return table(("", "stood", "its interrupts late by it"), rows)


def registers_table(result: Result) -> Markup:
    """TB and DECR at the stop and at the resume."""
    timebase = result.timebase
    if timebase.at_stop is None or timebase.at_resume is None:
        return tag("p", "The guest did not cross: there is nothing to compare.", class_="note")
    rows = [["TB", f"{timebase.at_stop:,}", f"{timebase.at_resume:,}", *_error(timebase.error_ticks, timebase.hz)]]
    rows += [
        [f"DECR cpu {one.cpu}", signed(one.at_stop), signed(one.at_resume), *_error(one.error_ticks, timebase.hz)]
        for one in result.decrementer
    ]
    return table(("ticks", "at the stop", "at the resume", "error", ""), rows)


def _error(ticks: int | None, hz: int) -> tuple[str, str]:
    if ticks is None:
        return "–", ""
    return ("0", "exact") if not ticks else (signed(ticks, plus=True), duration(to_ns(abs(ticks), hz)))


def signed(value: int, plus: bool = False) -> str:
    """With a minus sign that is as wide as a digit, and a plus if wanted."""
    return f"{MINUS if value < 0 else '+' if plus else ''}{abs(value):,}"


def migration_table(result: Result) -> Markup:
    """The migration's own figures."""
    migration, rule, machine = result.migration, result.manifest.rule, result.manifest.machine
    owner = "neither side" if migration.owner == "none" else f"the {migration.owner}"
    limit = "none" if rule.downtime_limit_ns is None else duration(rule.downtime_limit_ns)
    rows: list[list[str]] = [
        ["strategy", result.strategy or "–"],
        ["status", migration.status + (f" ({migration.reason})" if migration.reason else "")],
        ["runs the guest", owner],
        ["downtime asked for", "–" if rule.downtime_ns is None else duration(rule.downtime_ns)],
        ["downtime limit", limit],
        ["time policy", rule.time_policy or "–"],
        ["passes", f"{migration.passes:,}"],
        ["sent", size(migration.bytes)],
        ["machine", f"{machine.model}, {plural(machine.cpus, 'CPU')}"],
        ["timebase", f"{machine.timebase_hz:,} Hz"],
        ["decrementer", f"{machine.decrementer_bits} bits, {machine.trigger}-triggered"],
        ["clock", rule.clock],
        ["seed", "–" if result.manifest.seed is None else f"{result.manifest.seed}"],
    ]
    told = {"memory": memory(result), "throttled": throttled(result), "postcopy": postcopy(result)}
    rows += [[name, words] for name, words in told.items() if words]
    half = -(-len(rows) // 2)
    return tag("div", *(table((), part, left=2, class_="pairs") for part in (rows[:half], rows[half:])), class_="facts")


def configuration(config: Mapping[str, Any]) -> Markup:
    """Every key of the configuration, section by section."""
    sections = [
        tag("div", tag("h3", f"[{name}]"), table((), _keys(value), left=2, class_="pairs"), class_="section")
        for name, value in config.items()
        if isinstance(value, Mapping)
    ]
    return tag("div", *sections, class_="configuration") if sections else tag("p", "None recorded.", class_="note")


def _keys(section: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    rows = []
    for key, value in section.items():
        if isinstance(value, Mapping):
            rows += _keys(value, f"{prefix}{key}.")
        else:
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            rows.append([f"{prefix}{key}", shown if shown else "–"])
    return rows


def attribution(result: Result) -> Markup:
    """Where the lateness of the latest interrupts comes from: one bar each, its parts in ticks."""
    if not result.attributed.worst:
        return tag("p", "No interrupt was late.", class_="note")
    longest = max(late.late_ticks for late in result.attributed.worst) or 1
    bars = (
        tag(
            "li",
            tag("span", f"cpu {late.cpu} {late.timer}", class_="who"),
            tag(
                "span",
                *(_part(part, ticks, longest, result.timebase.hz) for part, ticks in late.parts.items() if ticks),
                class_="bar",
            ),
            tag("span", f"{late.late_ticks:,} ticks", class_="n"),
        )
        for late in result.attributed.worst
    )
    seen = dict.fromkeys(part for late in result.attributed.worst for part, ticks in late.parts.items() if ticks)
    keys = (tag("li", tag("i", class_=f"part {part}"), part.replace("_", " ")) for part in seen)
    return together(tag("ol", *bars, class_="attribution"), tag("ul", *keys, class_="legend parts"))


def _part(name: str, ticks: int, longest: int, hz: int) -> Markup:
    share = f"width: {ticks * 1000 // longest / 10}%"
    told = f"{name.replace('_', ' ')}: {plural(ticks, 'tick')}, {typeset(duration(to_ns(ticks, hz)))}"
    return tag("i", class_=f"part {name}", style=share, title=told)


def impact(result: Result) -> Markup:
    """Which thresholds of real guests the run passes."""
    rows = []
    for one in result.impact:
        value = "–" if one.value_ns is None else duration(one.value_ns)
        mark = tag("span", "✗ trips" if one.tripped else "✓", class_="bad" if one.tripped else "fine")
        cells = (tag("td", typeset(text), class_="n") for text in (value, duration(one.threshold_ns)))
        rows.append(tag("tr", tag("th", one.name), tag("td", one.quantity), *cells, tag("td", mark), title=one.source))
    names = ("", "of", "here", "threshold", "")
    head = tag("tr", *(tag("th", name, class_="n" if 1 < at < 4 else "") for at, name in enumerate(names)))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="table compare impact")
