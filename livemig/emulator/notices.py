"""What a process tells whoever watches it: QMP's events, and livemig's own, whose names begin with ``X_LIVEMIG``.

QEMU sends ``MIGRATION`` and ``MIGRATION_PASS`` only where the capability ``events`` is on, and says in them no more
than the status and the number. What else there is to say of either is in events of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from livemig.machine.runstate import RunState
from livemig.migration.side import Side
from livemig.migration.source import Source
from livemig.migration.status import Status

_RESETS: Final = {"watchdog": "guest-reset", "command": "host-qmp-system-reset"}
_SHUTDOWNS: Final = {"duration": "guest-shutdown", "interrupted": "host-signal"}
_HELD_BACK: Final = (Status.NONE, Status.SETUP, Status.PRE_SWITCHOVER)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened that whoever watches this process may want to know, in QMP's words."""

    event: str
    data: dict[str, Any] = field(default_factory=dict)


class Notices:
    """From events of the log to those of QMP.

    Args:
        watch: told of each.

    Attributes:
        migration_events: QEMU's capability ``events`` is on.
    """

    def __init__(self, watch: Callable[[Notice], None]) -> None:
        self.migration_events = False
        self._watch = watch
        self._side: Side | None = None
        self._passes = 0

    def tell(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Tell of ``event``."""
        self._watch(Notice(event, data or {}))

    def logged(self, t_ns: int, event: str, fields: dict[str, Any], side: Side) -> None:
        """``event`` was logged."""
        if event == "migration_state":
            self._status(t_ns, fields, side)
        elif event == "migration_pass":
            self.tell("X_LIVEMIG_PASS", {"t_ns": t_ns, **fields})
        elif event == "machine_stopped":
            self.tell("STOP")
        elif event == "machine_resumed":
            self.tell("RESUME")
        elif event == "machine_reset":
            by_guest = fields["reason"] == "watchdog"
            if by_guest:
                self.tell("WATCHDOG", {"action": "reset"})
            self.tell("RESET", {"guest": by_guest, "reason": _RESETS[fields["reason"]]})

    def _status(self, t_ns: int, fields: dict[str, Any], side: Side) -> None:
        self.tell("X_LIVEMIG_MIGRATION", {"t_ns": t_ns, **fields})
        if self.migration_events:
            if fields["status"] == Status.ACTIVE and isinstance(side, Source):
                self._new_passes(side, 1)  # as in QEMU, the bitmap is looked at before that is the status
            self.tell("MIGRATION", {"status": fields["status"]})

    def passes(self, side: Side) -> None:
        """All that happened at this instant has: the dirty bitmap may have been looked at."""
        if self.migration_events and isinstance(side, Source) and side.status not in _HELD_BACK:
            self._new_passes(side, side.precopy.passes)

    def _new_passes(self, side: Source, number: int) -> None:
        if side is not self._side:
            self._side, self._passes = side, 0
        for begun in range(self._passes + 1, number + 1):
            self.tell("MIGRATION_PASS", {"pass": begun})
        self._passes = max(self._passes, number)

    def shutdown(self, reason: str) -> None:
        """``SHUTDOWN``, for one of QEMU's reasons."""
        self.tell("SHUTDOWN", {"guest": reason.startswith("guest-"), "reason": reason})

    def ended(self, reason: str, state: RunState, migration: dict[str, Any]) -> None:
        """This side's part of the scenario is over, and its log is whole. ``migration``: ``query-migrate`` then."""
        if reason in _SHUTDOWNS and (state is RunState.SHUTDOWN or reason != "duration"):
            self.shutdown(_SHUTDOWNS[reason])
        self.tell("X_LIVEMIG_ENDED", {"reason": reason, "status": str(state), "migration": migration})
