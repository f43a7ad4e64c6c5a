"""The report of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from livemig.analysis.judge import judge
from livemig.analysis.memory_text import postcopy
from livemig.analysis.report import summary
from livemig.analysis.report.excerpt import excerpts
from livemig.analysis.report.extract import run_data
from livemig.analysis.report.markup import Markup, tag
from livemig.analysis.report.page import chart, head, page, panel, timeline
from livemig.analysis.report.thinning import NEAR
from livemig.analysis.result import Result

SCRIPTS = ("density.js", "timeline.js", "drift.js", "run.js")


def run_page(directory: Path) -> str:
    """Judge the run in ``directory`` and show it.

    Raises:
        InputError: it is not a finished run, or a log is malformed.
        UsageError: Plotly is not installed.
    """
    result = judge(directory)
    manifest = orjson.loads((directory / "run.json").read_bytes())
    data = run_data(directory, result)
    return page(f"{result.verdict}: {_name(directory)}", _body(directory, result, manifest, data), data, *SCRIPTS)


def _name(directory: Path) -> str:
    return directory.resolve().name


def _body(directory: Path, result: Result, manifest: dict[str, Any], data: dict[str, Any]) -> Markup:
    shown = excerpts(directory, (seen for said in result.checks.values() for seen in said.evidence))
    return tag(
        "main",
        head(
            _name(directory),
            [result.strategy or "strategy not known", result.manifest.machine.model, result.manifest.engine],
        ),
        summary.verdict(result),
        summary.figures(result),
        summary.checks(result, shown),
        timeline("Timeline", _kept(data)),
        tag(
            "div",
            panel("Guest time against the world", "how far its timebase is ahead, or behind", chart("drift")),
            panel("Lateness", "delivery less deadline, the guest's own masking included", chart("lateness")),
            class_="pair",
        ),
        panel("Passes", "what each pass over memory found and sent", chart("passes")),
        tag(
            "div",
            panel("The latest interrupts", "where their lateness comes from", summary.attribution(result)),
            panel("In a real guest", "what would have complained", summary.impact(result)),
            class_="pair",
        ),
        panel("Interrupts", "what became of every arm", summary.cpu_table(result)),
        _postcopy(result),
        tag(
            "div",
            panel("Across the blackout", "", summary.registers_table(result)),
            panel("Migration", "", summary.migration_table(result)),
            class_="pair",
        ),
        panel("Configuration", str(manifest.get("config_file") or ""), summary.configuration(_config(manifest))),
        _foot(directory, manifest),
    )


def _postcopy(result: Result) -> Markup:
    if result.postcopy is None:
        return Markup()
    return panel("Postcopy", postcopy(result).split(" · ")[0], summary.postcopy_table(result))


def _config(manifest: dict[str, Any]) -> dict[str, Any]:
    config = manifest.get("config")
    return config if isinstance(config, dict) else {}


def _kept(data: dict[str, Any]) -> str:
    """How much of the run the page holds, where that is not all."""
    if data["stride"] == 1:
        return ""
    kept = len(data["arcs"]["cpu"])
    return (
        f"This run has {data['total']:,} arms. {kept:,} are here one by one: those that went wrong, the {NEAR} of each "
        f"CPU before and after them and every stop and resume, and one in {data['stride']:,} of the others. The grey "
        "density counts all. "
    )


def _foot(directory: Path, manifest: dict[str, Any]) -> Markup:
    said = [f"livemig {manifest.get('livemig', '')}".strip(), str(manifest.get("started") or ""), str(directory)]
    return tag("footer", *(tag("span", text) for text in said if text))
