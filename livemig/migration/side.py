"""What the two sides of a migration have in common: status, the frames they send, the events they log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from livemig.machine.machine import Machine
from livemig.machine.time_state import Host
from livemig.migration.frames import Frame
from livemig.migration.settings import Settings
from livemig.migration.status import FINAL, Status, follow

_FRAME_BYTES = 64
_RUN_BYTES = 10
_SIZE_BYTES = 2


class Wire(Protocol):
    """The link as a side sees it when it sends: when is the line free again, and when does the frame arrive?"""

    def transmit(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """Send ``size`` bytes, a frame of type ``kind``, at ``now``: (line free again, arrives), in ns."""


class Emit(Protocol):
    """Where events go."""

    def __call__(self, t_ns: int, event: str, /, **fields: Any) -> None: ...


def wire_bytes(fields: dict[str, Any], payload: int) -> int:
    """What a frame is taken to weigh on a modelled link, whatever its header packs to."""
    runs = len(fields.get("runs", ())) + len(fields.get("zero", ()))
    return _FRAME_BYTES + payload + _RUN_BYTES * runs + _SIZE_BYTES * len(fields.get("sizes", ()))


class Side(ABC):
    """A state machine without I/O: its driver calls ``receive`` when a frame arrives and ``tick`` at ``due``,
    always with the machine run to that instant, and sends what is in ``outbox``.

    ``asked``: a frame that must be answered is on its way. A side speaks only when asked, until it owns the guest;
    so whoever has asked nothing can run on without listening, and whoever has asked waits for the answer before it
    lets virtual time pass the earliest instant at which that could arrive. That is the whole of the promise
    (conservative synchronisation, Chandy and Misra) that plain precopy needs.

    ``owner``: of the guest, as this side knows it: source, destination or none.
    """

    def __init__(self, machine: Machine, host: Host, wire: Wire, settings: Settings, emit: Emit) -> None:
        self.machine, self.host, self.settings = machine, host, settings
        self.status = Status.NONE
        self.reason = ""
        self.due: int | None = None
        self.asked = False
        self.owner = "source"
        self.outbox: list[Frame] = []
        self._wire = wire
        self._emit = emit

    @abstractmethod
    def receive(self, now: int, frame: Frame) -> None:
        """A frame has arrived.

        Raises:
            ProtocolError: it must not have; :meth:`fail` is to be called.
        """

    @abstractmethod
    def tick(self, now: int) -> None:
        """``due`` has come."""

    @abstractmethod
    def fail(self, now: int, reason: str) -> None:
        """The migration cannot go on: the link has ended, or the peer sent what it must not."""

    @property
    def over(self) -> bool:
        """The migration has ended, one way or another."""
        return self.status in FINAL

    def _enter(self, now: int, status: Status, reason: str = "") -> None:
        self.status, self.reason = follow(self.status, status), reason
        self._emit(now, "migration_state", status=str(status), reason=reason)

    def _send(
        self, now: int, kind: str, fields: dict[str, Any] | None = None, payload: bytes = b"", size: int = 0
    ) -> int:
        """Put a frame on the wire; gives the instant at which the line is free again.

        Args:
            size: bytes of payload that are not in ``payload``: pages, which go from RAM straight to the socket.
        """
        fields = fields or {}
        free, arrives = self._wire.transmit(now, wire_bytes(fields, len(payload) + size), kind)
        self.outbox.append(Frame(kind, now, arrives, fields, payload))
        return free
