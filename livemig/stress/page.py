"""A campaign as one self-contained page: maps of where it breaks, groups of failures, each with its story."""

from __future__ import annotations

from livemig.analysis.report.markup import Markup, tag
from livemig.analysis.report.page import chart, head, page, panel
from livemig.analysis.units import plural
from livemig.stress.grouping import Group
from livemig.stress.maps import MEASURES, Map, over_features, over_grid
from livemig.stress.order import Outcome
from livemig.stress.reproduction import Case

SCRIPTS = ("heatmaps.js",)


def stress_page(outcome: Outcome) -> str:
    """The page of a campaign whose file is still there.

    Raises:
        UsageError: Plotly is not installed.
    """
    strategies = outcome.plan.strategies
    maps = over_grid(outcome.trials, outcome.axes, strategies) if outcome.axes else []
    if not maps:
        maps = [over_features(outcome.trials, strategies)]
    data = {"maps": [each.as_dict() for each in maps]}
    return page(f"campaign of {plural(outcome.runs, 'run')}", _body(outcome, maps), data, *SCRIPTS)


def _body(outcome: Outcome, maps: list[Map]) -> Markup:
    facts = [
        plural(outcome.runs, "run"), f"seed {outcome.plan.seed}", f"{outcome.failed:,} failed",
        plural(len(outcome.groups), "group"),
    ]  # fmt: skip
    cases = {case.signature: case for case in outcome.cases}
    groups = [_group(group, cases.get(group.signature)) for group in outcome.groups]
    buttons = (
        tag("button", name, type="button", data_measure=name, aria_pressed="true" if first else "false")
        for first, name in ((name == next(iter(MEASURES)), name) for name in MEASURES)
    )
    return tag(
        "main",
        head("campaign", facts),
        panel(
            "Where it breaks",
            "Each cell is the mean or the worst of its runs; hover for the number.",
            tag("div", *buttons, class_="views"),
            *(tag("div", tag("h3", each.title), chart(f"map{number}")) for number, each in enumerate(maps)),
        ),
        panel("Failures", "By what failed first, the strategy, and the state of the migration.", *groups)
        if groups
        else panel("Failures", "None: every guest came through."),
    )


def _group(group: Group, case: Case | None) -> Markup:
    check, strategy, status = group.signature
    title = f"{check} under {strategy}, migration {status}"
    parts = [tag("summary", tag("code", title), " ", tag("span", plural(group.count, "run"), class_="count"))]
    if case is not None:
        parts += [
            tag("p", tag("code", case.command)),
            tag("pre", case.config.read_text(), class_="log"),
            tag("pre", case.story, class_="log"),
        ]
    return tag("details", *parts, class_="check invalid")
