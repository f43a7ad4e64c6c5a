"""A pure pair and its twin, judged: a whole run in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pure_pair import run_here

from livemig.analysis.result import Result
from livemig.config.model import Config


def run_judged(config: Config, directory: Path) -> Result:
    """Migrate, run the twin, judge; what was written is in ``directory``."""
    directory.mkdir(exist_ok=True)
    checks = config.checks.model_copy(update={"twin": True})
    return run_here(config.model_copy(update={"checks": checks}), "judged", directory)


def events(directory: Path, *names: str, side: str = "source") -> list[dict[str, Any]]:
    """The events of these names, in order."""
    lines = (directory / f"{side}.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] in names]
