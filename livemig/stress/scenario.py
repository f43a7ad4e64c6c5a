"""A scenario of a campaign: a base configuration, and the keys that differ in it."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from livemig.config.load import validated
from livemig.config.model import Config
from livemig.config.write import toml_lines

Value = str | int | bool
Settings = Mapping[str, Value]
"""Dotted key → value, as TOML has it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Args: ``base``: the tables of the campaign's file; ``settings``: what was drawn or put over it; ``number`` in
    the campaign, which decides the draw."""

    base: Mapping[str, Any]
    settings: Settings = field(default_factory=dict)
    number: int = 0

    def tables(self) -> dict[str, Any]:
        """The whole as nested tables."""
        tables: dict[str, Any] = copy.deepcopy(dict(self.base))
        for key, value in self.settings.items():
            *parents, name = key.split(".")
            table = tables
            for parent in parents:
                table = table.setdefault(parent, {})
            table[name] = value
        return tables

    def config(self, file: str) -> Config:
        """The configuration; ``file`` is what an error names.

        Raises:
            ConfigError: its keys are wrong, or wrong together.
        """
        return validated(self.tables(), file)

    def toml(self) -> str:
        """A file that ``livemig run`` takes, with nothing in it that has its default."""
        return "\n".join(toml_lines(self.tables())) + "\n"

    def command(self, file: str) -> str:
        """A shell line that runs it from the campaign's ``file``."""
        words = ["livemig", "run", file]
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        return shlex.join(words)
