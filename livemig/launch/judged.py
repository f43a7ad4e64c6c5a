"""A run whose logs are in memory, before the judge: as its directory would be, if there were one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from livemig.analysis.judge import judge_logs
from livemig.analysis.manifest import Manifest
from livemig.analysis.result import Result
from livemig.config.model import Config
from livemig.events.entries import Entries
from livemig.launch import run_directory
from livemig.launch.outcome import PairOutcome


def judged(config: Config, outcome: PairOutcome, logs: Mapping[str, Entries]) -> Result:
    """What the judge says of a run of ``config`` that :func:`run_kept` gave."""
    manifest = Manifest.parse(run_directory.ended(config, asdict(outcome)))
    return judge_logs(manifest, *logs.values())
