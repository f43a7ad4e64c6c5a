"""What an operator may do to a side: the commands of QMP that are the same for source and destination."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from livemig.emulator import build
from livemig.emulator.conversation import Conversation
from livemig.emulator.hops import Hops
from livemig.emulator.leash import Leash
from livemig.emulator.notices import Notice, Notices
from livemig.emulator.order import Order
from livemig.emulator.tuning import Tuning
from livemig.errors import LinkError, QmpError
from livemig.machine.machine import Machine
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.side import Wire
from livemig.migration.status import Status


class Operated(Conversation):
    """A side that can be told what to do. Whatever is asked of it is done at the next barrier.

    Args:
        watch: told of everything that QMP has an event for. patience_ns, cuts: as in :class:`Conversation`.

    Attributes:
        ended: why the run is over here; empty while it is not.
        wire: the link as this side sends on it.
    """

    machine: Machine
    wire: Wire
    hops: Hops
    tuning: Tuning

    def __init__(self, watch: Callable[[Notice], None], patience_ns: int, cuts: Sequence[int]) -> None:
        super().__init__(patience_ns, cuts)
        self.ended = ""
        self.leash = Leash()
        self.notices = Notices(watch)
        self._orders: list[Order] = []

    @abstractmethod
    def emit(self, t_ns: int, event: str, /, **fields: Any) -> None:
        """Log an event, and tell whoever watches."""

    async def perform(self, action: Callable[[int], Any]) -> Any:
        """Do ``action(now)`` at the next barrier; gives its result, raises its error."""
        if self.ended:
            raise QmpError("GenericError", "The scenario is over")
        order = Order(action)
        self._orders.append(order)
        self._tell()
        await order.done.wait()
        if order.error is not None:
            raise order.error
        return order.result

    async def look(self, action: Callable[[int], Any]) -> Any:
        """:meth:`perform`, also when the run is over here: then nothing changes any more."""
        return action(self.clock.now()) if self.ended else await self.perform(action)

    def retune(self) -> None:
        """What :attr:`tuning` holds is in force from now on."""
        self.side.adjust(build.settings(self.tuning.config))
        self.notices.migration_events = self.tuning.events
        self.share()

    def relink(self, wire: Wire) -> None:
        """From now on send by ``wire``."""
        self.wire = wire
        self.side.relink(wire)

    def share(self) -> None:
        """What has been changed of this side holds for hops to come."""
        self.hops.adjust(self.side.host, self.wire, self.side.settings)

    def status(self) -> dict[str, Any]:
        """``query-status``."""
        return {"status": str(self.machine.state), "running": self.machine.running}

    def stop(self, now: int) -> None:
        """QMP ``stop``: guest time stands still, by the operator's wish; a guest that is to come will not run."""
        if isinstance(self.side, Destination):
            self.side.autostart = False
        if self.machine.running:
            self.emit(now, "operator", command="stop")
            self.machine.stop(now, RunState.PAUSED)
            self.emit(now, "machine_stopped", **self.machine.facts(now), ram_digest=self.machine.ram.digest())

    def cont(self, now: int) -> None:
        """QMP ``cont``; a guest that is to come will run.

        Raises:
            QmpError: a migration that has stopped it is not over.
        """
        if self.machine.state is RunState.FINISH_MIGRATE:
            raise QmpError("GenericError", "Migration is not finalized yet")
        if isinstance(self.side, Destination):
            self.side.autostart = True
        if self.machine.state is RunState.PAUSED:
            self.emit(now, "operator", command="cont")
            self.machine.resume(now)
            self.emit(now, "machine_resumed", **self.machine.facts(now), ram_digest=None)

    def pause(self, now: int) -> None:
        """QMP ``migrate-pause``: the link is given up, as if it had broken.

        Raises:
            QmpError: there is no postcopy to be paused.
        """
        if self.side.status not in (Status.POSTCOPY_ACTIVE, Status.POSTCOPY_RECOVER):
            said = "migrate-pause is currently only supported during postcopy-active or postcopy-recover state"
            raise QmpError("GenericError", said)
        self.fail(now, LinkError("paused by the operator"))

    def system_reset(self, now: int) -> None:
        """QMP ``system_reset``.

        Raises:
            QmpError: the guest is not here, or its state is on its way.
        """
        if self.machine.state not in (RunState.RUNNING, RunState.PAUSED):
            raise QmpError("GenericError", f"No guest to be reset in run state '{self.machine.state}'")
        self.emit(now, "operator", command="system_reset")
        self.reset(now, {"reason": "command", "kind": "system", "cpu": None})

    def reset(self, now: int, asked: dict[str, Any]) -> None:
        """The guest boots again; ``asked``: what ``machine_reset`` says."""
        self.emit(now, "machine_reset", **asked)
        self.machine.reset(asked["kind"])

    def _take_orders(self) -> list[Order]:
        orders, self._orders = self._orders, []
        return orders
