"""The source of a postcopy after `switchover`: the guest is not ours any more, and what it misses is here."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.errors import ProtocolError
from livemig.machine.machine import Machine
from livemig.machine.runstate import RunState
from livemig.machine.time_state import Host
from livemig.migration.fields import FAR
from livemig.migration.frames import PROTOCOL_VERSION, Frame
from livemig.migration.postcopy_destination import bits
from livemig.migration.postcopy_source import PostcopySource
from livemig.migration.precopy import Precopy
from livemig.migration.settings import Settings
from livemig.migration.side import Emit, Side, Wire
from livemig.migration.status import Status


class AfterSwitchover(Side):
    """Pushes and answers until all has been `received`; pauses when the link breaks, and recovers."""

    precopy: Precopy
    ended_ns: int

    def __init__(self, machine: Machine, host: Host, wire: Wire, settings: Settings, emit: Emit) -> None:
        super().__init__(machine, host, wire, settings, emit)
        self.postcopy = PostcopySource(machine, settings, self._send, self._promise)
        self._digest = ""
        self._paused_ns = 0
        self._has: NDArray[np.bool_] = np.zeros(0, np.bool_)

    @abstractmethod
    def _ask(self, now: int, kind: str, fields: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        """Say what must be answered."""

    @abstractmethod
    def _blackout(self) -> dict[str, Any]:
        """When the guest was stopped and is to go on."""

    def hear(self, frame: Frame) -> bool:
        if self.status not in (Status.POSTCOPY_ACTIVE, Status.POSTCOPY_RECOVER):
            return frame.type != "promise"
        leaves = frame.type in ("bye", "received")
        self.postcopy.heard_ns = max(
            self.postcopy.heard_ns, FAR if leaves else frame.fields.get("until_ns", frame.sent_ns)
        )
        if self.status is Status.POSTCOPY_RECOVER:  # what is said behind `resume_ack` may be read before that arrives
            return frame.type != "promise"
        self.postcopy.deserted |= frame.type == "bye"
        return frame.type not in ("promise", "bye")

    @property
    def awaits(self) -> bool:
        all_sent = self.status is Status.POSTCOPY_ACTIVE and self.postcopy.due is None
        return self.asked or (all_sent and not self.postcopy.deserted)

    @property
    def deserted(self) -> bool:
        return self.postcopy.deserted

    @property
    def horizon(self) -> int | None:
        active = self.status is Status.POSTCOPY_ACTIVE
        return self.postcopy.heard_ns + self.settings.postcopy.lookahead_ns if active else None

    def _starts_late(self, frame: Frame) -> bool:
        """The link broke between `switchover` and the resume, which comes while it is taken up again; and with it the
        end, if no page is missing any more."""
        return frame.type in ("resumed", "received") and self.status is Status.POSTCOPY_RECOVER

    def _runs_there(self, now: int, frame: Frame) -> None:
        self.owner = "destination"
        self.postcopy.resumed_ns = frame.sent_ns

    def _page_request(self, now: int, frame: Frame) -> None:
        if frame.fields["page"] >= self.machine.ram.page_count:
            raise ProtocolError("page_request", "page", f"{frame.fields['page']} is outside RAM")
        self.postcopy.answer(now, frame)

    def _received(self, now: int, frame: Frame) -> None:
        same = frame.fields["ram_digest"] == self._digest
        self._complete(now, "" if same else "the RAM that arrived is not the RAM that was sent")

    def _complete(self, now: int, reason: str) -> None:
        self.owner = "destination"
        self.postcopy.unsent[:] = False
        self.precopy.handed_over(now, self.postcopy.phase)
        self.machine.enter(RunState.POSTMIGRATE)
        self.asked, self.due, self.postcopy.due, self.ended_ns = False, None, None, now
        self._enter(now, Status.COMPLETED, reason)

    def _pause(self, now: int, reason: str) -> None:
        self.asked, self.due, self.postcopy.due = False, None, None
        if self.status is not Status.POSTCOPY_PAUSED:
            self._paused_ns = now
            self._enter(now, Status.POSTCOPY_PAUSED, reason)

    @property
    def recover_at_ns(self) -> int | None:
        """When a broken link is to be made anew; None: it is not broken, or whoever is asked to recover says when."""
        after = self.settings.postcopy.recover_after_ns
        return None if after is None or self.status is not Status.POSTCOPY_PAUSED else self._paused_ns + after

    def recover(self, now: int) -> None:
        """``migrate`` with ``resume``: the peer is being reached again."""
        self._enter(now, Status.POSTCOPY_RECOVER_SETUP)

    def reconnected(self, now: int) -> None:
        """It has been reached: ask what it has. What it promised before is of the past."""
        self.postcopy.heard_ns = now
        self._enter(now, Status.POSTCOPY_RECOVER)
        self._ask(now, "recover", {"version": PROTOCOL_VERSION})

    def _learn(self, now: int, frame: Frame) -> None:
        """What has arrived is known; what has not is to be sent. The guest may not have been resumed there yet."""
        self._has = bits(frame.payload, self.machine.ram.page_count, frame.type)
        if frame.fields["resumed"]:
            self.owner = "destination"
        self._ask(now, "resume", self._blackout())

    def _go_on(self, now: int, frame: Frame) -> None:
        self.owner = "destination"
        self._enter(now, Status.POSTCOPY_ACTIVE)
        self.postcopy.go_on(now, self._has)
