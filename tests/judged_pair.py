"""A pure pair and its twin, judged: a whole run in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pure_pair import run_pure

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.config.model import Config
from livemig.emulator.twin import run_twin
from livemig.launch import run_directory


def run_judged(config: Config, directory: Path) -> Result:
    """Migrate, run the twin, judge; what was written is in ``directory``."""
    directory.mkdir(exist_ok=True)
    source, destination = run_pure(config, directory)
    run_twin(config, directory / "twin.jsonl")
    manifest = run_directory.manifest(config, "judged")
    owner = "destination" if destination.owner == "destination" else source.owner
    manifest["migration"] |= {"status": str(source.status), "owner": owner, "reason": source.reason}
    manifest["complete"] = True
    run_directory.write(directory, manifest)
    return judge(directory)


def events(directory: Path, *names: str, side: str = "source") -> list[dict[str, Any]]:
    """The events of these names, in order."""
    lines = (directory / f"{side}.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] in names]
