"""A configuration as TOML text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from livemig.config.model import Config


def toml_text(config: Config) -> str:
    """All of ``config``, defaults included, such that loading it gives an equal configuration."""
    return "\n".join(toml_lines(config.as_toml_values())) + "\n"


def toml_lines(table: dict[str, Any], name: str = "") -> Iterator[str]:
    """The lines of nested tables of scalars."""
    leaves = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if leaves:
        yield f"[{name}]"
        yield from (f"{key} = {scalar(value)}" for key, value in leaves.items())
        yield ""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from toml_lines(value, f"{name}.{key}" if name else key)


def scalar(value: str | int | float) -> str:
    """One TOML value. JSON's scalars are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
