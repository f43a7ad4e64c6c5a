"""The same scenario on several QEMUs, and between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from livemig.config.model import Config
from livemig.errors import UsageError
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch import run_directory
from livemig.launch.qemu.binary import binary_of
from livemig.launch.qemu.scenario import run_qemu

if TYPE_CHECKING:
    from livemig.analysis.result import Result

_NAME = re.compile(r"[\w.+-]{1,40}")

Place = dict[str, str]
"""Keys of [engine] that say where one QEMU is."""


def places(given: list[str]) -> dict[str, Place]:
    """By name, from ``NAME=PLACE``: PLACE is a directory with an unpacked QEMU, or a program.

    Raises:
        UsageError: one is not of that form, or a name comes twice.
    """
    found: dict[str, Place] = {}
    for text in given:
        name, _, where = text.partition("=")
        if not _NAME.fullmatch(name) or not where or name in found:
            raise UsageError(f"--qemu {text}: must be NAME=PLACE, a new name, and a directory or a program")
        key = "qemu_root" if Path(where).is_dir() else "binary"
        found[name] = {key: str(Path(where).absolute()) if key == "qemu_root" else where}
    return found


def of_config(config: Config) -> dict[str, Place]:
    """Those that ``config`` names for its two sides, by their releases. Raises UsageError."""
    engine = config.engine
    sides: Mapping[str, Place] = {
        SOURCE: {
            "binary": engine.source_binary or engine.binary,
            "qemu_root": engine.source_root or engine.qemu_root,
        },
        DESTINATION: {
            "binary": engine.destination_binary or engine.binary,
            "qemu_root": engine.destination_root or engine.qemu_root,
        },
    }
    return {binary_of(engine, side, config.machine.model).release: place for side, place in sides.items()}


def run_all_versions(
    config: Config,
    config_file: str,
    qemus: Mapping[str, Place],
    pairs: bool,
    out: Path | None,
    announce: Callable[[str], None] = lambda what: None,
) -> dict[str, Result]:
    """``config`` on each of ``qemus``, and with ``pairs`` from each to each other; by name and what was inferred.

    Raises:
        LivemigError: one of them could not be run.
    """
    directory = run_directory.create(out, f"{Path(config_file).stem}-compare")
    results = {}
    for source, destination in _crossings(qemus, pairs):
        name = source if source == destination else f"{source} to {destination}"
        announce(name)
        asked = _between(config, qemus[source], qemus[destination])
        result = run_qemu(asked, config_file, directory / name.replace(" ", "-")).result
        shown = result.inferred or ("no known strategy" if result.crossed else "did not cross")
        results[f"{name}: {shown}"] = result
    return results


def _crossings(qemus: Mapping[str, Place], pairs: bool) -> Iterator[tuple[str, str]]:
    yield from ((name, name) for name in qemus)
    if pairs:
        yield from permutations(qemus, 2)


def _between(config: Config, source: Place, destination: Place) -> Config:
    own = {f"source_{key.removeprefix('qemu_')}": value for key, value in source.items()}
    own |= {f"destination_{key.removeprefix('qemu_')}": value for key, value in destination.items()}
    nothing = dict.fromkeys(("binary", "qemu_root", "source_version", "destination_version"), "")
    nothing |= {f"{side}_{key}": "" for side in (SOURCE, DESTINATION) for key in ("binary", "root")}
    return config.model_copy(update={"engine": config.engine.model_copy(update=nothing | own)})
