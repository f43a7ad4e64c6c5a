"""A scenario from its configuration to its verdict: once, twice, or under every strategy."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemig.config.model import Config
from livemig.errors import UsageError
from livemig.launch import run_directory
from livemig.launch.outcome import PairOutcome
from livemig.launch.pair import ALONE, Attached, Progress, run_pair
from livemig.strategies.table import STRATEGIES

if TYPE_CHECKING:
    from livemig.analysis.result import Result

LOGS = ("source.jsonl", "destination.jsonl")


def run_scenario(
    config: Config,
    config_file: str,
    out: Path | None,
    progress: Progress = lambda side, event: None,
    netns: Callable[[str], None] | None = None,
    attached: Attached = ALONE,
) -> Result:
    """Run a pair in a new run directory (``out``, if given) and judge it. ``netns``: over two network namespaces; told
    of what the kernel lacks for that. ``attached``: who else wants to see it.

    Raises:
        LivemigError: it could not be run.
    """
    if attached != ALONE:
        _need_two_processes(config)
    if attached.sockets is not None:
        run_directory.make(attached.sockets)
    if config.engine.kind == "qemu":
        from livemig.launch.qemu.scenario import run_qemu

        return run_qemu(config, config_file, out, progress).result
    directory = run_directory.create(out, f"{Path(config_file).stem}-{config.migration.strategy}")
    manifest = run_directory.manifest(config, config_file)
    run_directory.write(directory, manifest)
    result = _judged(config, manifest, directory, _run(config, directory, progress, attached, netns))
    manifest["result"] = result.as_dict()
    run_directory.write(directory, manifest)
    return result


def run_here(config: Config, config_file: str, directory: Path) -> Result:
    """Run a pair in this process, in virtual time, and judge it: as :func:`run_scenario`, without a fork or a socket.

    Args:
        directory: is there, and empty.

    Raises:
        LivemigError: it could not be run.
    """
    from livemig.launch.in_process import run_in_process

    return _judged(config, run_directory.manifest(config, config_file), directory, run_in_process(config, directory))


def _judged(config: Config, manifest: dict[str, Any], directory: Path, outcome: PairOutcome) -> Result:
    """What a pair has written to ``directory``, with its twin and all that is known of it."""
    if config.checks.twin:
        from livemig.emulator.twin import run_twin

        run_twin(config, directory / "twin.jsonl")
    manifest["migration"] = asdict(outcome)
    manifest["complete"] = True
    run_directory.write(directory, manifest)
    from livemig.analysis.judge import judge

    return judge(directory)


def _in_one_process(config: Config) -> bool:
    """With faults, in virtual time: there a link may swallow frames and time still goes on."""
    return any(fault.enabled for _, fault in config.fault) and config.run.clock == "virtual"


def _need_two_processes(config: Config) -> None:
    if config.engine.kind == "qemu":
        raise UsageError("--qmp, --live: a real QEMU's sockets are livemig's own while it runs")
    if _in_one_process(config):
        raise UsageError("--qmp, --live: with faults a run in virtual time has one process, without QMP (--clock wall)")


def _run(
    config: Config,
    directory: Path,
    progress: Progress = lambda side, event: None,
    attached: Attached = ALONE,
    netns: Callable[[str], None] | None = None,
) -> PairOutcome:
    if _in_one_process(config):
        from livemig.launch.in_process import run_in_process

        return run_in_process(config, directory)
    if netns is not None:
        return _across(config, directory, progress, netns, attached)
    return run_pair(config, directory, progress, _import_the_judge, attached=attached)


def _across(
    config: Config, directory: Path, progress: Progress, lacks: Callable[[str], None], attached: Attached
) -> PairOutcome:
    from livemig.launch.netns import network

    with network(config) as (laid, lacking):
        if lacking:
            lacks(lacking)
        return run_pair(laid.config, directory, progress, _import_the_judge, laid, attached)


def _import_the_judge() -> None:
    for name in ("judge", "text"):
        import_module(f"livemig.analysis.{name}")


def run_again(config: Config, directory: Path) -> str:
    """Run what is in ``directory`` once more and compare the logs; gives the first difference, or nothing."""
    with tempfile.TemporaryDirectory(prefix="livemig-again-") as again:
        _run(config, Path(again))
        for name in LOGS:
            difference = _first_difference(directory / name, Path(again) / name)
            if difference:
                return difference
    return ""


def run_all_strategies(
    config: Config, config_file: str, out: Path | None, announce: Callable[[str], None] = lambda strategy: None
) -> dict[str, Result]:
    """The same scenario and seed under every strategy, each beside the same twin.

    Raises:
        LivemigError: one of them could not be run.
    """
    directory = run_directory.create(out, f"{Path(config_file).stem}-compare")
    results = {}
    for strategy in STRATEGIES:
        announce(strategy)
        migration = config.migration.model_copy(update={"strategy": strategy})
        checks = config.checks.model_copy(update={"twin": True})
        changed = config.model_copy(update={"migration": migration, "checks": checks})
        results[strategy] = run_scenario(changed, config_file, directory / strategy)
    return results


def run_all_values(
    configs: Mapping[str, Config], config_file: str, out: Path | None, announce: Callable[[str], None]
) -> dict[str, Result]:
    """The same scenario and seed in several configurations, by what they are called.

    Raises:
        LivemigError: one of them could not be run.
    """
    directory = run_directory.create(out, f"{Path(config_file).stem}-compare")
    results = {}
    for name, config in configs.items():
        announce(name)
        results[name] = run_scenario(config, config_file, directory / re.sub(r"[^\w.-]+", "-", name))
    return results


def _first_difference(one: Path, other: Path) -> str:
    with one.open("rb") as first, other.open("rb") as second:
        for number, (a, b) in enumerate(zip_longest(first, second), 1):
            if a != b:
                return f"{one.name}:{number} differs: {_shown(a)} in one run, {_shown(b)} in the other"
    return ""


def _shown(line: bytes | None) -> str:
    return "nothing" if line is None else line.decode(errors="replace").strip()
