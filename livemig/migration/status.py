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
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

ALLOWED: dict[Status, frozenset[Status]] = {
    Status.NONE: frozenset({Status.SETUP}),
    Status.SETUP: frozenset({Status.ACTIVE, Status.CANCELLING, Status.FAILED}),
    Status.ACTIVE: frozenset(
        {Status.PRE_SWITCHOVER, Status.DEVICE, Status.COMPLETED, Status.CANCELLING, Status.FAILED}
    ),
    Status.PRE_SWITCHOVER: frozenset({Status.DEVICE, Status.CANCELLING, Status.FAILED}),
    Status.DEVICE: frozenset({Status.COMPLETED, Status.CANCELLING, Status.FAILED}),
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
