"""From parts to a file: one HTML page with its style, its scripts and its data inside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from livemig.analysis.report.markup import Markup, script_data, tag
from livemig.errors import OutputError, UsageError

USAGE: Final = (
    "Drag to zoom, shift and drag to move, Ctrl and wheel to zoom at the pointer, double click for the whole run."
)


def page(title: str, body: Markup, data: dict[str, Any], *scripts: str) -> str:
    """The page; ``scripts`` name the ``*.js`` that draw ``data``.

    The page's policy lets exactly the scripts run that are put in here, known by their hashes, and lets nothing be
    fetched: what a log contains could not run even if it were not escaped.

    Raises:
        UsageError: Plotly is not installed.
    """
    codes = [plotly_code(), *(asset(name) for name in ("base.js", *scripts))]
    allowed = " ".join(f"'sha256-{_digest(code)}'" for code in codes)
    return Template(asset("page.html")).substitute(
        title=tag("title", title),
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:",
        style=asset("page.css"),
        body=body,
        data=script_data(data),
        scripts="\n".join(f"<script>{code}</script>" for code in codes),
    )


def head(name: str, facts: list[str]) -> Markup:
    """The first line of a page."""
    return tag(
        "header",
        tag("span", "livemig", class_="brand"),
        tag("span", name, class_="run"),
        *(tag("span", fact, class_="fact") for fact in facts),
        tag("button", "theme", type="button", id="theme", title="switch between light and dark"),
    )


def panel(title: str, note: str, *content: str) -> Markup:
    """A part of a page, with its heading."""
    return tag(
        "section",
        tag("div", tag("h2", title), tag("p", note, class_="note"), class_="panel-head"),
        *content,
        class_="panel",
    )


def chart(name: str) -> Markup:
    """Where a script draws."""
    return tag("div", id=name, class_="chart")


def timeline(title: str, note: str = "") -> Markup:
    """Where ``timeline.js`` draws, and what steers it."""
    views = {"run": "whole run", "migration": "migration", "blackout": "blackout", "stop": "stop", "resume": "resume",
             "out": "−", "in": "+"}  # fmt: skip
    controls = (tag("button", label, type="button", data_view=view) for view, label in views.items())
    keys = ("on time", "late", "early", "lost", "superseded")
    legend = (tag("li", tag("i", class_=f"key {key.replace(' ', '-')}"), key) for key in keys)
    return tag(
        "section",
        tag(
            "div",
            tag("h2", title),
            tag("div", *controls, class_="views"),
            tag("output", class_="span"),
            tag("ul", *legend, class_="legend"),
            class_="panel-head",
        ),
        tag("div", tag("div", class_="window"), class_="overview"),
        tag("div", class_="chart", tabindex="0"),
        tag("p", note, USAGE, " ", tag("span", class_="drawn"), class_="note"),
        class_="panel timeline",
    )


def asset(name: str) -> str:
    """A file that lies beside this one."""
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(code: str) -> str:
    # The browser reads a carriage return as a line feed before it hashes.
    plain = code.replace("\r\n", "\n").replace("\r", "\n")
    return base64.b64encode(hashlib.sha256(plain.encode()).digest()).decode()


def plotly_code() -> str:
    """Plotly's JavaScript.

    Raises:
        UsageError: Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError("report needs plotly: pip install 'livemig[report]'") from None
    code: str = get_plotlyjs()
    return code.replace("</script", "<\\/script")


def write(path: Path, text: str) -> None:
    """Write ``path``.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(str(path), error.strerror or str(error)) from error
