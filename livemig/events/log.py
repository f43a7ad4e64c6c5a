"""Where a side's events go: a file of JSON lines, written through structlog."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import structlog

from livemig.errors import OutputError
from livemig.events.lines import Lines, pieces
from livemig.events.schema import EVENTS

_BUFFER = 1 << 18


def in_schema_order(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the keys in the order of the schema, which they must match.

    Raises:
        KeyError: an event or a key that the schema has not.
    """
    keys = ("t_ns", "side", "event", *EVENTS[event["event"]])
    if len(event) != len(keys):
        raise KeyError(f"{event['event']}: {sorted(event)} is not {sorted(keys)}")
    return {key: event[key] for key in keys}


def line_of(event: MutableMapping[str, Any]) -> bytes:
    """The line of an event, as :class:`EventLog` writes it; KeyError as :func:`in_schema_order`."""
    return _dump(in_schema_order(None, "", event)) + b"\n"


class _Sink:
    """The end of structlog's chain: takes rendered lines, and does not flush each."""

    def __init__(self, file: BinaryIO) -> None:
        self._write = file.write

    def info(self, line: bytes) -> None:
        self._write(line)
        self._write(b"\n")


class EventLog:
    """``path`` must not exist yet; it is not made where there is a ``file`` to write to instead.

    Raises:
        OutputError: the file cannot be made, or written (a full disk); from every method.
    """

    def __init__(self, path: Path, side: str, file: BinaryIO | None = None) -> None:
        self.path = path
        try:
            self._file = file or open(path, "xb", buffering=_BUFFER)  # noqa: SIM115
        except OSError as error:
            raise OutputError(str(path), error.strerror or str(error)) from error
        self._log = structlog.wrap_logger(
            _Sink(self._file),
            processors=[in_schema_order, structlog.processors.JSONRenderer(serializer=_dump)],
            wrapper_class=structlog.BoundLogger,
            side=side,
        )

    def event(self, t_ns: int, event: str, /, **fields: Any) -> None:
        """Write one of the events that happen tens or hundreds of times."""
        try:
            self._log.info(event, t_ns=t_ns, **fields)
        except OSError as error:
            raise OutputError(str(self.path), error.strerror or str(error)) from error

    def block(self, tables: Sequence[Lines]) -> None:
        """Write what CPUs did between two barriers: the same bytes as :meth:`event` would give."""
        try:
            self._file.writelines(pieces(tables))
        except OSError as error:
            raise OutputError(str(self.path), error.strerror or str(error)) from error

    def flush(self) -> None:
        """Everything written so far can be read by others."""
        try:
            self._file.flush()
        except OSError as error:
            raise OutputError(str(self.path), error.strerror or str(error)) from error

    def close(self) -> None:
        """Flush and close."""
        try:
            self._file.close()
        except OSError as error:
            raise OutputError(str(self.path), error.strerror or str(error)) from error


def _dump(value: Any, **_: Any) -> bytes:
    return orjson.dumps(value)
