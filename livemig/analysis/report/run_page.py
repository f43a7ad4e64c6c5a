"""The report of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from livemig.analysis.judge import judge
from livemig.analysis.report import summary
from livemig.analysis.report.excerpt import excerpts
from livemig.analysis.report.extract import run_data
from livemig.analysis.report.markup import Markup, tag
from livemig.analysis.report.page import page
from livemig.analysis.report.thinning import NEAR
from livemig.analysis.result import Result


SCRIPTS = ("timeline.js", "run.js")


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
        _head(_name(directory), [result.manifest.strategy, result.manifest.machine.model, result.manifest.engine]),
        summary.verdict(result),
        summary.figures(result),
        summary.checks(result, shown),
        _timeline(data),
        tag(
            "div",
            _panel("Guest time against the world", "how far its timebase is ahead, or behind", _chart("drift")),
            _panel("Lateness", "delivery less deadline, the guest's own masking included", _chart("lateness")),
            class_="pair",
        ),
        _panel("Passes", "what each pass over memory found and sent", _chart("passes")),
        _panel("Interrupts", "what became of every arm", summary.cpu_table(result)),
        tag(
            "div",
            _panel("Across the blackout", "", summary.registers_table(result)),
            _panel("Migration", "", summary.migration_table(result)),
            class_="pair",
        ),
        _panel("Configuration", str(manifest.get("config_file") or ""), summary.configuration(_config(manifest))),
        _foot(directory, manifest),
    )


def _config(manifest: dict[str, Any]) -> dict[str, Any]:
    config = manifest.get("config")
    return config if isinstance(config, dict) else {}


def _head(name: str, facts: list[str]) -> Markup:
    return tag(
        "header",
        tag("span", "livemig", class_="brand"),
        tag("span", name, class_="run"),
        *(tag("span", fact, class_="fact") for fact in facts),
        tag("button", "theme", type="button", id="theme", title="light, dark, as the system"),
    )


def _panel(title: str, note: str, *content: str) -> Markup:
    head = tag("div", tag("h2", title), tag("p", note, class_="note"), class_="panel-head")
    return tag("section", head, *content, class_="panel")


def _chart(name: str) -> Markup:
    return tag("div", id=name, class_="chart")


def _timeline(data: dict[str, Any]) -> Markup:
    views = [("run", "whole run"), ("migration", "migration"), ("blackout", "blackout"), ("stop", "stop"),
             ("resume", "resume")]  # fmt: skip
    controls = tag(
        "div",
        *(tag("button", label, type="button", data_view=view) for view, label in views),
        tag("button", "−", type="button", data_view="out", title="zoom out"),
        tag("button", "+", type="button", data_view="in", title="zoom in"),
        class_="views",
    )
    keys = ("on time", "late", "early", "lost", "superseded")
    legend = tag(
        "ul",
        *(tag("li", tag("i", class_=f"key {key.replace(' ', '-')}"), key) for key in keys),
        class_="legend",
    )
    return tag(
        "section",
        tag("div", tag("h2", "Timeline"), controls, tag("output", class_="span"), legend, class_="panel-head"),
        tag("div", tag("div", class_="window"), class_="overview"),
        tag("div", class_="chart", tabindex="0"),
        tag("p", _kept(data), " ", tag("span", class_="drawn"), class_="note"),
        class_="panel timeline",
    )


def _kept(data: dict[str, Any]) -> str:
    """How much of the run the page holds."""
    usage = "Drag to zoom, shift and drag to move, Ctrl and wheel to zoom at the pointer, double click for the whole run."
    if data["stride"] == 1:
        return usage
    kept = len(data["arcs"]["cpu"])
    return (
        f"{usage} This run has {data['total']:,} arms. {kept:,} are here one by one: those that went wrong, the {NEAR} "
        f"of each CPU before and after them and every stop and resume, and one in {data['stride']:,} of the others. "
        "The grey density counts all."
    )


def _foot(directory: Path, manifest: dict[str, Any]) -> Markup:
    said = [f"livemig {manifest.get('livemig', '')}".strip(), str(manifest.get("started") or ""), str(directory)]
    return tag("footer", *(tag("span", text) for text in said if text))
