"""A destination that is started again after it was killed, and the source that migrates anew."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from livemig.config.model import Config
from livemig.errors import LinkError, QmpError
from livemig.events.schema import SOURCE
from livemig.migration.status import Status
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    from livemig.launch.pair import Sided

_POLL_S = 0.005


class Restart:
    """``spare``: a process that waits for its turn; ``uri``: where it will listen. ``began``: it has had it."""

    def __init__(self, config: Config, spare: Sided, uri: str) -> None:
        self.spare, self.uri, self.began = spare, uri, False
        self._after_s = float(config.fault.restart.after / config.run.rate / NS_PER_S)

    async def take_place(self, source: Sided, destination: Sided) -> bool:
        """When ``destination`` was killed, let the other begin; False if it was not."""
        await destination.over.wait()
        if (destination.child.exit_code or 0) >= 0:
            return False
        await trio.sleep(self._after_s)
        if source.over.is_set():
            return False
        self.began = True
        self.spare.child.go()
        return True

    async def migrate_anew(self, source: Sided) -> None:
        """As soon as the source knows that it must, if it has the guest still."""
        while source.last.get("status") not in (Status.FAILED, Status.CANCELLED):
            await trio.sleep(_POLL_S)
        if source.last["x-livemig-owner"] == SOURCE and source.client is not None:
            with suppress(LinkError, QmpError):  # it has ended
                await source.client.execute("migrate", uri=self.uri)


def without_death(config: Config) -> Config:
    """What is left to go wrong for a destination that has died."""
    names = ("kill", "pause", "steal")
    off = {name: getattr(config.fault, name).model_copy(update={"enabled": False}) for name in names}
    return config.model_copy(update={"fault": config.fault.model_copy(update=off)})
