"""Watching running sides over QMP, livemig's or a real QEMU's: what ``livemig monitor`` and ``run --live`` do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TextIO

import trio

from livemig.errors import LinkError, PeerLost, QmpError, UsageError
from livemig.launch.monitor_text import Seen, cropped, occasion, one_line, screen
from livemig.qmp.client import QmpClient, open_qmp

INTERVAL_S: Final = 0.2
_CONNECT_NS: Final = 2_000_000_000


def socket_of(where: str) -> str:
    """The path in ``unix:PATH``, or ``where`` itself if it is a path.

    Raises:
        UsageError: it is another kind of URI.
    """
    scheme, colon, path = where.partition(":")
    if scheme == "unix" and path:
        return path
    if not where or (colon and "/" not in scheme):
        raise UsageError(f"monitor: {where!r} is no QMP socket (allowed: unix:PATH)")
    return where


async def watch(
    paths: Sequence[str], show: Callable[[Sequence[Seen]], None], interval_s: float = INTERVAL_S
) -> list[Seen]:
    """Ask the side at each of ``paths`` again and again, and ``show`` all of them, until the last has ended or gone;
    gives them as they were last seen.

    Raises:
        ConnectTimeout: nobody is there. QmpError, PeerLost: somebody is, and speaks no QMP.
    """
    sides = [Seen(path) for path in paths]
    failure: OSError | None = None
    async with trio.open_nursery() as nursery:
        reached = [trio.Event() for _ in sides]
        for path, side, there in zip(paths, sides, reached, strict=True):
            nursery.start_soon(_follow, path, side, there, interval_s)
        for there in reached:
            await there.wait()
        try:
            while not all(side.gone or side.ended for side in sides):
                show(sides)
                await trio.sleep(interval_s)
            show(sides)
        except OSError as error:
            failure = error  # raised where the nursery does not wrap it into a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return sides


async def _follow(path: str, side: Seen, there: trio.Event, interval_s: float) -> None:
    async with open_qmp(path, _CONNECT_NS) as client:
        try:
            await _ask(client, side)
            there.set()
            while True:
                _hear(client, side)
                if side.ended:
                    return
                await trio.sleep(interval_s)
                await _ask(client, side)
        except PeerLost:
            _hear(client, side)
            side.ended = side.ended or side.leaving
            side.gone = True
            if not there.is_set():
                raise


async def _ask(client: QmpClient, side: Seen) -> None:
    if not side.state:
        with suppress(QmpError):
            side.name = (await client.execute("query-name")).get("name", side.name)
    side.state = await client.execute("query-status")
    side.migration = await client.execute("query-migrate")
    with suppress(QmpError):  # a real QEMU has no such command
        side.time = await client.execute("x-livemig-query-time")


def _hear(client: QmpClient, side: Seen) -> None:
    while True:
        try:
            event = client.events.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return
        if event["event"] == "X_LIVEMIG_PASS":
            side.passes.append(event["data"])
        elif event["event"] == "SHUTDOWN":
            side.leaving = event["data"]["reason"]
        elif event["event"] == "X_LIVEMIG_ENDED":
            side.ended = event["data"]["reason"]
            side.state, side.migration = event["data"], event["data"]["migration"]


class Screen:
    """Shows sides on ``out``: in place on a terminal, else a line whenever something has happened."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out, self._in_place = out, out.isatty()
        self._height = 0
        self._said: dict[int, tuple[object, ...]] = {}

    def show(self, sides: Sequence[Seen]) -> None:
        """As they are now."""
        if self._in_place:
            columns, rows = shutil.get_terminal_size()
            lines = [cropped(line, columns) for line in screen(sides, colour=True)[: rows - 1]]
            up = f"\x1b[{self._height}A" if self._height else ""
            self._out.write(up + "".join(f"\r{line}\x1b[K\n" for line in lines) + "\x1b[J")
            self._height = len(lines)
        else:
            for number, side in enumerate(sides):
                if self._said.get(number) != (now := occasion(side)):
                    self._said[number] = now
                    self._out.write(one_line(side) + "\n")
        self._out.flush()


async def beside(paths: Sequence[str]) -> None:
    """:func:`watch` on standard error, beside the pair that this process runs, whose end is not its affair."""
    with suppress(LinkError, QmpError):
        await watch(paths, Screen(sys.stderr).show)
