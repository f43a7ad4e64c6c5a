"""One run of a campaign, from its scenario to what is kept of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from livemig.errors import OutputError
from livemig.launch import run_directory
from livemig.launch.in_process import run_in_process
from livemig.stress.scenario import Scenario

_SCRATCH = Path("/dev/shm")
"""Logs that are read once and thrown away need no disk, where there is such a place."""

CRASHED, STRANDED = "crashed", "stranded"


class Signature(NamedTuple):
    """What makes two failures the same: the check that fails first in order of weight, the strategy, and the status in
    which the migration ended. ``stranded``: the guest is gone with its owner; ``crashed``: livemig itself failed."""

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
    """Run and judge it; its logs stay in ``directory``, if one is given. A defect of livemig is a failure too."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        return _attempt(scenario, file, directory)
    with tempfile.TemporaryDirectory(prefix="livemig-", dir=_SCRATCH if _SCRATCH.is_dir() else None) as scratch:
        return _attempt(scenario, file, Path(scratch))


def _attempt(scenario: Scenario, file: str, directory: Path) -> Trial:
    config = scenario.config(file)
    strategy = config.migration.strategy
    began = time.perf_counter_ns()
    try:
        manifest = run_directory.manifest(config, file)
        outcome = run_in_process(config, directory)
        ran = time.perf_counter_ns()
        run_directory.write(directory, {**manifest, "complete": True, "migration": asdict(outcome)})
        from livemig.analysis.judge import judge

        result = judge(directory)
    except OutputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return Trial(scenario.number, scenario.settings, strategy, "invalid", (CRASHED,), "none", "none", reason)
    failed = tuple(name for name, verdict in result.checks.items() if verdict.word == "invalid")
    migration, total = result.migration, result.interrupts
    if migration.owner == "none" and outcome.torn:  # else the source stands paused, and can be asked
        failed = (*failed, STRANDED)
    return Trial(
        number=scenario.number,
        settings=scenario.settings,
        strategy=strategy,
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

