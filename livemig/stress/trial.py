"""One run of a campaign, from its scenario to what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from livemig.config.model import Config
from livemig.errors import OutputError
from livemig.events.entries import Entries
from livemig.launch import run_directory
from livemig.launch.in_process import run_kept
from livemig.launch.judged import judged
from livemig.launch.outcome import PairOutcome
from livemig.stress.healing import unfinished
from livemig.stress.scenario import Scenario

CRASHED, STRANDED, UNFINISHED = "crashed", "stranded", "unfinished"


class Signature(NamedTuple):
    """What makes two failures the same: the check that fails first in order of weight, the strategy, and the status in
    which the migration ended. ``stranded``: the guest is gone with its owner; ``crashed``: livemig itself failed;
    ``unfinished``: all is healed for long, and the migration has not ended."""

    check: str
    strategy: str
    status: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What is kept of one run.

    Args:
        number: in its campaign. settings: what was drawn. verdict: the judge's; ``failed``: the checks that failed,
            the weightiest first. status, owner, reason: of the migration. lost, late, doubled, early: interrupts.
        worst_late_ns, error_ticks (of TB), blackout_ns: 0 where there is none. run_us, judge_us: host time; they are
            no result, and differ from run to run.
    """

    number: int
    settings: Mapping[str, Any]
    strategy: str
    verdict: str
    failed: tuple[str, ...]
    status: str
    owner: str
    reason: str
    lost: int = 0
    late: int = 0
    doubled: int = 0
    early: int = 0
    worst_late_ns: int = 0
    error_ticks: int = 0
    blackout_ns: int = 0
    run_us: int = 0
    judge_us: int = 0

    @property
    def signature(self) -> Signature | None:
        """None if the guest came through: it crossed whole, or runs on unharmed where it was."""
        return Signature(self.failed[0], self.strategy, self.status) if self.failed else None

    def outcome(self) -> dict[str, Any]:
        """All but the host's time."""
        return {key: value for key, value in asdict(self).items() if not key.endswith("_us")}


def attempt(scenario: Scenario, file: str, directory: Path | None = None) -> Trial:
    """Run and judge it; its logs stay in ``directory``, if one is given. A defect of livemig is a failure too.

    Raises:
        ConfigError: its configuration is wrong. OutputError: ``directory`` cannot be written.
    """
    return try_out(scenario, scenario.config(file), file, directory)


def try_out(scenario: Scenario, config: Config, file: str, directory: Path | None = None) -> Trial:
    """:func:`attempt` of a scenario whose configuration is known already."""
    began = time.perf_counter_ns()
    try:
        outcome, logs = run_kept(config)
        ran = time.perf_counter_ns()
        if directory is not None:
            _keep(directory, config, file, outcome, logs)
        result = judged(config, outcome, logs)
    except OutputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        strategy = config.migration.strategy
        return Trial(scenario.number, scenario.settings, strategy, "invalid", (CRASHED,), "none", "none", reason)
    failed = result.failed
    migration, total = result.migration, result.interrupts
    if migration.owner == "none" and outcome.torn:  # else the source stands paused, and can be asked
        failed = (*failed, STRANDED)
    if unfinished(config, migration.status, migration.reason or ""):
        failed = (*failed, UNFINISHED)
    return Trial(
        number=scenario.number,
        settings=scenario.settings,
        strategy=config.migration.strategy,
        verdict=result.verdict,
        failed=failed,
        status=migration.status,
        owner=migration.owner,
        reason=migration.reason or "",
        lost=total.lost,
        late=total.late,
        doubled=total.doubled,
        early=total.early,
        worst_late_ns=total.worst_late_ns,
        error_ticks=result.timebase.error_ticks or 0,
        blackout_ns=migration.blackout_ns or 0,
        run_us=(ran - began) // 1000,
        judge_us=(time.perf_counter_ns() - ran) // 1000,
    )


def _keep(directory: Path, config: Config, file: str, outcome: PairOutcome, logs: Mapping[str, Entries]) -> None:
    """As a run directory."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, entries in logs.items():
            (directory / name).write_bytes(entries.text())
    except OSError as error:
        raise OutputError(str(directory), error.strerror or str(error)) from error
    manifest = run_directory.manifest(config, file)
    run_directory.write(directory, {**manifest, "complete": True, "migration": asdict(outcome)})
