"""From parts to a file: one HTML page with its style, its scripts and its data inside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from livemig.analysis.report.markup import Markup, script_data, tag
from livemig.errors import OutputError, UsageError


def page(title: str, body: Markup, data: dict[str, Any], *scripts: str) -> str:
    """The page; ``scripts`` name the ``*.js`` that draw ``data``.

    The page's policy lets exactly the scripts run that are put in here, known by their hashes, and lets nothing be
    fetched: what a log contains could not run even if it were not escaped.

    Raises:
        UsageError: Plotly is not installed.
    """
    codes = [_plotly(), *(asset(name) for name in ("base.js", *scripts))]
    allowed = " ".join(f"'sha256-{_digest(code)}'" for code in codes)
    return Template(asset("page.html")).substitute(
        title=tag("title", title),
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:",
        style=asset("page.css"),
        body=body,
        data=script_data(data),
        scripts="\n".join(f"<script>{code}</script>" for code in codes),
    )


def asset(name: str) -> str:
    """A file that lies beside this one."""
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(code: str) -> str:
    # The browser reads a carriage return as a line feed before it hashes.
    plain = code.replace("\r\n", "\n").replace("\r", "\n")
    return base64.b64encode(hashlib.sha256(plain.encode()).digest()).decode()


def _plotly() -> str:
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
