"""A pair in one process, in virtual time, that an operator meddles with at given instants; judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.destination import DestinationEmulator
from livemig.emulator.order import Order
from livemig.emulator.source import SourceEmulator
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch import run_directory
from livemig.launch.in_process import _Pair

Deed = tuple[int, str, Callable[[Any, int], Any]]
"""At which instant, on which side, and what: called with that side's emulator, and the instant."""


def operate(config: Config, directory: Path, deeds: Sequence[Deed]) -> dict[str, Any]:
    """Run it; gives the emulators by side. Each deed is done at a barrier of its side, as those of QMP are."""
    directory.mkdir(exist_ok=True)
    logs = {side: EventLog(directory / f"{side}.jsonl", side) for side in (SOURCE, DESTINATION)}
    sides: dict[str, Any] = {
        SOURCE: SourceEmulator(config, build.clock(config), logs[SOURCE]),
        DESTINATION: DestinationEmulator(config, build.clock(config), logs[DESTINATION], None),
    }
    pair = _Pair(config, sides[SOURCE], sides[DESTINATION])
    for at, side, deed in deeds:

        def act(now: int, emulator: Any = sides[side], deed: Callable[[Any, int], Any] = deed) -> None:
            pair._live(emulator, now)
            emulator._orders.append(Order(lambda now: deed(emulator, now)))

        pair._at(at, act)
    outcome = pair.run()
    for log in logs.values():
        log.close()
    manifest = run_directory.manifest(config, "operated.toml")
    manifest["migration"] = {"status": outcome.status, "owner": outcome.owner, "reason": outcome.reason}
    manifest["complete"] = True
    run_directory.write(directory, manifest)
    return sides


def judged(config: Config, directory: Path, deeds: Sequence[Deed]) -> Result:
    """Run it, and judge it."""
    operate(config, directory, deeds)
    return judge(directory)
