"""What the two sides of a migration have in common: status, the frames they send, the events they log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from livemig.machine.machine import Machine
from livemig.machine.runstate import RunState
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

    def overtake(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """The same, ahead of what stands in line."""


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

    ``asked``: a frame that must be answered is on its way. In precopy a side speaks only when asked, until it owns the
    guest; so whoever has asked nothing can run on without listening, and whoever has asked waits for the answer before
    it lets virtual time pass the earliest instant at which that could arrive. That is the whole of the promise
    (conservative synchronisation, Chandy, Misra and Bryant) that plain precopy needs. In postcopy both speak when they
    like: ``horizon`` says how far virtual time may go, by what the peer has promised.

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

    def adjust(self, settings: Settings) -> None:
        """From now on other settings hold, as far as what has been begun can still be changed."""
        self.settings = settings

    def relink(self, wire: Wire) -> None:
        """From now on send by ``wire``."""
        self._wire = wire

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
    def horizon(self) -> int | None:
        """Virtual time must not come to this instant before more is heard from the peer; None: it may."""
        return None

    @property
    def awaits(self) -> bool:
        """Virtual time must not pass before the peer has spoken."""
        return self.asked

    @property
    def deserted(self) -> bool:
        """The peer has said that it has no more to say, and is gone."""
        return False

    def hear(self, frame: Frame) -> bool:
        """A frame was received, whenever it arrives; False if it says nothing but that, and does not arrive at all."""
        return frame.type != "promise"

    def keep_in_step(self, now: int) -> None:  # noqa: B027
        """All that happens at ``now`` has; the peer may be waiting for a promise."""

    @property
    def over(self) -> bool:
        """The migration has ended, one way or another."""
        return self.status in FINAL

    def _enter(self, now: int, status: Status, reason: str = "") -> None:
        self.status, self.reason = follow(self.status, status), reason
        self._emit(now, "migration_state", status=str(status), reason=reason)

    def _send(
        self,
        now: int,
        kind: str,
        fields: dict[str, Any] | None = None,
        payload: bytes = b"",
        size: int = 0,
        urgent: bool = False,
    ) -> int:
        """Put a frame on the wire; gives the instant at which the line is free again.

        Args:
            size: bytes of payload that are not in ``payload``: pages, which go from RAM straight to the socket.
            urgent: by a channel of its own, if there is one, ahead of what stands in line.
        """
        fields = {} if fields is None else fields
        transmit = self._wire.overtake if urgent and self.settings.postcopy.preempt else self._wire.transmit
        free, arrives = transmit(now, wire_bytes(fields, len(payload) + size), kind)
        self.outbox.append(Frame(kind, now, arrives, fields, payload))
        return free

    def _run_on(self, now: int, digest: str | None, paused: bool) -> None:
        """The guest goes on here; ``paused``: and stands again at once, for the operator wants it to."""
        machine = self.machine
        machine.resume(now)
        self._emit(now, "machine_resumed", **machine.facts(now), ram_digest=digest)
        if paused:
            self._emit(now, "operator", command="stop")
            machine.stop(now, RunState.PAUSED)
            self._emit(now, "machine_stopped", **machine.facts(now), ram_digest=None)

    def _promise(self, now: int, until_ns: int, answers: int) -> None:
        """Outside time, and not on the modelled link: the two hosts of a real pair need none."""
        if self.settings.postcopy.promises:
            self.outbox.append(Frame("promise", now, now, {"until_ns": until_ns, "answers": answers}))
