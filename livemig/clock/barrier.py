"""Barriers: the instants up to which every CPU may run its own timeline without regard to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio


class Barrier:
    """One owner grants ``parties`` timelines leave to run to an instant, and waits until all have come there.

    The order in which they come does not matter: what they did is merged by (time, cpu) afterwards.
    """

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._left = 0
        self._round = 0
        self._until = 0
        self._granted = trio.Event()
        self._all_there = trio.Event()

    async def run_to(self, until: int) -> None:
        """Owner: let every timeline run to ``until`` (exclusive), return when all are there."""
        self._until, self._left = until, self._parties
        self._round += 1
        self._all_there = trio.Event()
        granted, self._granted = self._granted, trio.Event()
        granted.set()
        await self._all_there.wait()

    async def grants(self) -> AsyncIterator[int]:
        """Timeline: the instants to run to, one after the other; asking for the next says that it is there."""
        seen = 0
        while True:
            while self._round == seen:
                await self._granted.wait()
            seen = self._round
            yield self._until
            self._left -= 1
            if self._left == 0:
                self._all_there.set()
