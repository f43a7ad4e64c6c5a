"""From a run directory to a trace, in one pass over its logs and in memory that does not grow with them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Log, merged
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import Observer, observe
from livemig.analysis.perfetto.guest import Guest, TimebaseError
from livemig.analysis.perfetto.migration import Migration
from livemig.analysis.perfetto.timers import Timers
from livemig.analysis.perfetto.tracks import Tracks
from livemig.analysis.perfetto.writer import Writer
from livemig.errors import InputError, OutputError
from livemig.events.schema import DESTINATION, SOURCE


def export(run_dir: Path, out: Path) -> None:
    """Write the run in ``run_dir`` to ``out``, whole or not at all.

    Raises:
        InputError: a file of the run is missing, half-written or malformed.
        OutputError: ``out`` cannot be written.
    """
    manifest = Manifest.read(run_dir / "run.json")
    with ExitStack() as files:
        source, destination = _log(run_dir, SOURCE, files), _log(run_dir, DESTINATION, files)
        with _whole(out) as file:
            draw(source, destination, manifest, file, str(run_dir))


def draw(source: Log, destination: Log, manifest: Manifest, file: BinaryIO, directory: str = "") -> None:
    """Write the trace of a history to ``file``; ``directory`` is where the logs lie, for the path in an InputError.

    Raises:
        InputError: a log is malformed.
        OSError: ``file`` cannot be written.
    """
    writer, crossing = Writer(file), Crossing()
    tracks = Tracks(writer)
    drawing: list[Observer] = [
        crossing,
        Guest(writer, tracks, crossing),
        TimebaseError(writer, tracks, crossing, manifest),
        Timers(writer, tracks, crossing),
    ]
    drawn = frozenset(name for observer in drawing for name in observer.handlers())
    drawing.append(Migration(writer, tracks, drawn))
    for crash in observe(merged(source, destination), drawing, directory).values():
        raise crash
    writer.close(max(source.last_ns or 0, destination.last_ns or 0))


def _log(run_dir: Path, side: str, files: ExitStack) -> Log:
    path = run_dir / f"{side}.jsonl"
    if side == DESTINATION and not path.exists():
        return Log(str(path), side, ())
    try:
        return Log(str(path), side, files.enter_context(path.open("rb")))
    except OSError as error:
        raise InputError(str(path), error.strerror or str(error)) from None


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that is there, under its name, once all was written."""
    try:
        with tempfile.TemporaryDirectory(prefix=".livemig-", dir=path.parent) as beside:
            unfinished = Path(beside, path.name)
            with unfinished.open("wb", buffering=1 << 20) as file:
                yield file
            os.replace(unfinished, path)
    except OSError as error:
        raise OutputError(str(path), error.strerror or str(error)) from None
