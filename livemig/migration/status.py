"""The status of a migration, in QEMU's words (``MigrationStatus``), and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """``completed``, ``failed`` and ``cancelled`` are final."""

    NONE = "none"
    SETUP = "setup"
    ACTIVE = "active"
    PRE_SWITCHOVER = "pre-switchover"
    DEVICE = "device"
    POSTCOPY_ACTIVE = "postcopy-active"
    POSTCOPY_PAUSED = "postcopy-paused"
    POSTCOPY_RECOVER_SETUP = "postcopy-recover-setup"
    POSTCOPY_RECOVER = "postcopy-recover"
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"


POSTCOPY = frozenset(
    {Status.POSTCOPY_ACTIVE, Status.POSTCOPY_PAUSED, Status.POSTCOPY_RECOVER_SETUP, Status.POSTCOPY_RECOVER}
)
"""The guest is at the destination, or on its way there; it will not run on the source again."""

FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

ALLOWED: dict[Status, frozenset[Status]] = {
    Status.NONE: frozenset({Status.SETUP}),
    Status.SETUP: frozenset({Status.ACTIVE, Status.CANCELLING, Status.FAILED}),
    Status.ACTIVE: frozenset(
        {Status.PRE_SWITCHOVER, Status.DEVICE, Status.COMPLETED, Status.CANCELLING, Status.FAILED}
    ),
    Status.PRE_SWITCHOVER: frozenset({Status.DEVICE, Status.CANCELLING, Status.FAILED}),
    Status.DEVICE: frozenset(
        {
            Status.POSTCOPY_ACTIVE, Status.POSTCOPY_PAUSED, Status.COMPLETED, Status.CANCELLING, Status.FAILED
        }
    ),
    Status.POSTCOPY_ACTIVE: frozenset({Status.POSTCOPY_PAUSED, Status.COMPLETED}),
    Status.POSTCOPY_PAUSED: frozenset(
        {Status.POSTCOPY_RECOVER_SETUP, Status.POSTCOPY_RECOVER, Status.COMPLETED, Status.FAILED}
    ),
    Status.POSTCOPY_RECOVER_SETUP: frozenset({Status.POSTCOPY_PAUSED, Status.POSTCOPY_RECOVER}),
    Status.POSTCOPY_RECOVER: frozenset({Status.POSTCOPY_PAUSED, Status.POSTCOPY_ACTIVE, Status.COMPLETED}),
    Status.CANCELLING: frozenset({Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.CANCELLED: frozenset({Status.SETUP}),
    Status.FAILED: frozenset({Status.SETUP}),
}


def follow(old: Status, new: Status) -> Status:
    """``new``, if a migration in ``old`` may go there.

    Raises:
        ValueError: it may not; a defect in the caller.
    """
    if new not in ALLOWED[old]:
        raise ValueError(f"migration status {old} does not go to {new}")
    return new
